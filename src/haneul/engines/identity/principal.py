"""Principal: who is calling, in plain words."""

import msgspec


class Principal(msgspec.Struct, frozen=True):
    """kind: root | user | session (an assumed role) | service | anonymous.

    id is the unique id of the user or role ("" for root: the account's own); name the user's or role's path-less name;
    session the session name of an assumed role, or the name of the service.
    """

    account: str
    kind: str
    name: str = ""
    id: str = ""
    session: str = ""
    access_key: str = ""
