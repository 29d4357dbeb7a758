"""Provider: what a cloud itself brings to identity, in its own words: how ids begin, and policies for every account."""

from collections.abc import Sequence
from typing import Protocol

from haneul.base.env import Env
from haneul.base.ids import letters

from .records import Managed

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # 32 letters: no remainder, so each is equally likely


class Provider(Protocol):
    """Handed in by the program that joins engines and faces."""

    def prefix(self, kind: str) -> str:
        """What ids begin with: of a user, group, role, policy, profile, key (lasting), session (its key)."""
        ...

    def policy(self, name: str) -> Managed | None:
        """A policy that every account can attach."""
        ...

    def policies(self) -> Sequence[Managed]:
        """All of them, in the order of their names."""
        ...


class NoProvider:
    """A cloud of no name: plain prefixes, no policies."""

    def prefix(self, kind: str) -> str:
        return kind[:4].upper().ljust(4, "X")

    def policy(self, name: str) -> Managed | None:
        return None

    def policies(self) -> Sequence[Managed]:
        return ()


def new_id(env: Env, provider: Provider, kind: str) -> str:
    """A new unique id: 21 characters, or 20 for access keys. Unguessable, though it is no secret."""
    return provider.prefix(kind) + letters(env, 16 if kind in ("key", "session") else 17, _BASE32)
