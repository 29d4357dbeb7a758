"""Names of S3: ARNs of what an operation touches, bucket names, canonical user ids, where a request comes from."""

import hashlib
import re
from functools import lru_cache

from haneul.clouds.aws.call import AwsError, Call
from haneul.engines.objects.events import Origin

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def any_resource(call: Call) -> str:
    return "*"


def bucket_arn(call: Call) -> str:
    return f"arn:aws:s3:::{call.input['Bucket']}"


def object_arn(call: Call) -> str:
    return f"arn:aws:s3:::{call.input['Bucket']}/{call.input['Key']}"


def check_bucket_name(name: str) -> None:
    """Raises InvalidBucketName. S3 user guide, "General purpose bucket naming rules"."""
    sound = (
        _BUCKET.fullmatch(name) is not None
        and ".." not in name
        and _ADDRESS.fullmatch(name) is None
        and not name.startswith(("xn--", "sthree-"))
        and not name.endswith(_SUFFIXES)
    )
    if not sound:
        raise AwsError("InvalidBucketName", "The specified bucket is not valid.", 400, BucketName=name)


@lru_cache(maxsize=1024)
def canonical_id(account: str) -> str:
    """The account's canonical user id: 64 hexadecimal digits."""
    return hashlib.sha256(b"canonical user " + account.encode()).hexdigest()


def owner(account: str) -> dict[str, str]:
    """An Owner element. DisplayName is no longer sent by S3 since November 2025."""
    return {"ID": canonical_id(account)}


def origin(call: Call) -> Origin:
    """Where a change comes from, for the events that it causes."""
    principal = call.principal
    if principal.kind == "anonymous":
        who = "Anonymous"
    else:
        who = f"AWS:{principal.id or principal.account}" + (f":{principal.session}" if principal.session else "")
    return Origin(call.trace, who, call.request.remote[0], call.request_id)
