"""Expected failures, in plain words: a kind, a noun, a name and a reason. Faces translate them into a cloud's codes."""

from typing import Any


class Failure(Exception):
    """Something a caller must be able to handle. Raise one of the kinds below, never this class itself.

    noun    what sort of thing it is about, lower case and singular: "bucket", "function", "role"
    name    which one, as the caller named it
    reason  a sentence for people, without the noun or name repeated; may be empty
    fields  further facts that a face may need to word its answer (plain values only)
    """

    def __init__(self, noun: str, name: str = "", reason: str = "", **fields: Any) -> None:
        super().__init__(": ".join(part for part in (f"{noun} {name}".strip(), reason) if part))
        self.noun = noun
        self.name = name
        self.reason = reason
        self.fields = fields


class NotFound(Failure):
    """The named thing does not exist (any more)."""


class AlreadyExists(Failure):
    """The name is taken."""


class Conflict(Failure):
    """The thing is in a state that does not allow this: not empty, being updated, in use."""


class PreconditionFailed(Failure):
    """A condition that the caller attached to the request does not hold."""


class Invalid(Failure):
    """The input is malformed or contradicts itself."""


class TooLarge(Failure):
    """The input or output exceeds a size limit."""


class LimitExceeded(Failure):
    """A count limit is reached; waiting does not help."""


class Throttled(Failure):
    """A rate or concurrency limit is reached; the same request may succeed later."""


class Denied(Failure):
    """The caller may not do this."""


class Unavailable(Failure):
    """Our own side cannot do it now: a dependency is down, the disk is full, the service is stopping."""


class NotBuilt(Failure):
    """haneul does not offer this yet. Never pretend: raise this, naming what is missing."""


class Damaged(Failure):
    """Stored state cannot be read: a file is corrupt, foreign, or of a newer version. It is left untouched."""
