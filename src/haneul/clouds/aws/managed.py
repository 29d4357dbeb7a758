"""What AWS itself brings to identity: how its ids begin, and its managed policies."""

import hashlib
import json
from base64 import b32encode
from collections.abc import Sequence
from functools import cached_property

from haneul.clouds.aws.managed_documents import DOCUMENTS
from haneul.clouds.aws.policies import parse_policy
from haneul.engines.identity.records import Managed, Version

_PREFIXES = {
    "user": "AIDA",
    "group": "AGPA",
    "role": "AROA",
    "policy": "ANPA",
    "profile": "AIPA",
    "key": "AKIA",
    "session": "ASIA",
}
_CREATED_MS = 1_423_248_000_000  # 6 February 2015, when AWS made most of them


class AwsProvider:
    """The identity engine's Provider. A policy is read when it is first asked for: most runs use two or three."""

    def __init__(self) -> None:
        self._read: dict[str, Managed] = {}

    def prefix(self, kind: str) -> str:
        return _PREFIXES[kind]

    def policy(self, name: str) -> Managed | None:
        known = self._read.get(name)
        if known is None and name in DOCUMENTS:
            known = self._read[name] = _managed(name)
        return known

    def policies(self) -> Sequence[Managed]:
        return self._all

    @cached_property
    def _all(self) -> Sequence[Managed]:
        return tuple(policy for name in sorted(DOCUMENTS) if (policy := self.policy(name)) is not None)


def _managed(name: str) -> Managed:
    path, statements = DOCUMENTS[name]
    document = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=4))
    return Managed(
        name=name,
        path=path,
        id="ANPA" + b32encode(hashlib.sha256(name.encode()).digest())[:17].decode(),
        created_ms=_CREATED_MS,
        updated_ms=_CREATED_MS,
        versions=(Version(1, document, _CREATED_MS),),
    )
