"""The policies that hang on resources, brought to the authorise step: of buckets and of functions."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from haneul.base.errors import Invalid
from haneul.base.limits import RESOURCE_POLICY_CACHE_MAX
from haneul.base.scope import Scope
from haneul.clouds.aws.authorise import ResourcePolicies, ResourcePolicy
from haneul.clouds.aws.function_policies import FunctionPolicies
from haneul.clouds.aws.policies import parse_policy
from haneul.engines.identity.pattern import ANY
from haneul.engines.identity.policy import Policy, Principals, Statement
from haneul.engines.objects.engine import ObjectsEngine

if TYPE_CHECKING:
    from haneul.engines import Engines

_BUCKET_POLICY = "policy"  # the name under which services/s3 records it
_SHUT = Policy((Statement("deny", ((ANY,),), principals=Principals(everyone=True)),))


def resource_policies(engines: "Engines") -> Mapping[str, ResourcePolicies]:
    """Every service whose resources carry policies, by the prefix of its actions."""
    return {"s3": BucketPolicies(engines.objects), "lambda": FunctionPolicies(engines.functions)}


class BucketPolicies:
    """Bucket policies: of the bucket for itself and for every object in it."""

    def __init__(self, objects: ObjectsEngine) -> None:
        self._objects = objects

    async def find(self, scope: Scope, resource: str) -> ResourcePolicy | None:
        name = resource.rpartition(":::")[2].partition("/")[0]
        bucket = await self._objects.buckets.find(name) if name else None
        if bucket is None:
            return None
        document = bucket.settings.get(_BUCKET_POLICY)
        return ResourcePolicy(bucket.account, _read(document) if document is not None else None)

    def generation(self) -> int:
        return self._objects.buckets.version


@lru_cache(maxsize=RESOURCE_POLICY_CACHE_MAX)
def _read(document: bytes) -> Policy:
    """What a recorded policy means. One that cannot be read lets nobody in, rather than everybody."""
    try:
        return parse_policy(msgspec.json.decode(document, type=_Recorded).Policy, "resource").policy
    except (Invalid, msgspec.MsgspecError):
        return _SHUT


class _Recorded(msgspec.Struct):
    Policy: str
