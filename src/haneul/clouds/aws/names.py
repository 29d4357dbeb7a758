"""ARNs and the other names that AWS gives to things."""

from typing import NamedTuple

from haneul.base.scope import Scope


class Arn(NamedTuple):
    """arn:partition:service:region:account:resource, taken apart. resource keeps its own slashes and colons."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def arn(service: str, scope: Scope, resource: str) -> str:
    """The ARN of a regional resource."""
    return f"arn:{partition_of(scope.region)}:{service}:{scope.region}:{scope.account}:{resource}"


def global_arn(service: str, scope: Scope, resource: str) -> str:
    """The ARN of a resource that has no region, such as IAM's."""
    return f"arn:{partition_of(scope.region)}:{service}::{scope.account}:{resource}"


def bucket_arn(bucket: str, key: str = "") -> str:
    """The ARN of a bucket or object: neither region nor account."""
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN, or None for text that is not one."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
        return None
    return Arn(*parts[1:])


def partition_of(region: str) -> str:
    """The partition that a region belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
