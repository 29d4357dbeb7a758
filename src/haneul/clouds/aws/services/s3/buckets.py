"""CreateBucket, ListBuckets, HeadBucket, DeleteBucket, GetBucketLocation."""

import base64
import binascii

import msgspec

from haneul.base.errors import AlreadyExists
from haneul.base.limits import BUCKETS_MAX
from haneul.base.scope import Scope
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines

from .errors import invalid_argument
from .names import check_bucket_name, owner
from .settings import OWNERSHIP, TAGGING, tag_set

HOME = "us-east-1"
"""The region that has no location constraint."""
EUROPE = "EU"


async def create_bucket(engines: Engines, call: Call) -> Output:
    values = call.input
    name = values["Bucket"]
    check_bucket_name(name)
    configuration = values.get("CreateBucketConfiguration") or {}
    region = _region(call.scope.region, configuration.get("LocationConstraint"))
    settings: dict[str, bytes] = {}
    if values.get("ObjectOwnership"):
        rules = {"OwnershipControls": {"Rules": [{"ObjectOwnership": values["ObjectOwnership"]}]}}
        settings[OWNERSHIP] = msgspec.json.encode(rules)
    if configuration.get("Tags"):
        settings[TAGGING] = msgspec.json.encode({"TagSet": tag_set(configuration["Tags"])})
    if values.get("ObjectLockEnabledForBucket"):
        raise AwsError(
            "NotImplemented", "Object Lock is not implemented", 501, Header="x-amz-bucket-object-lock-enabled"
        )
    try:
        await engines.objects.buckets.create(Scope(call.scope.account, region), name, settings=settings)
    except AlreadyExists as error:
        # A bucket of one's own can be created again in us-east-1, for old clients: S3 API reference, CreateBucket.
        if not error.fields["owned"]:
            raise
        if error.fields["region"] != HOME or region != HOME:
            raise AwsError(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
                409,
                BucketName=name,
            ) from error
    where = f"/{name}" if region == call.scope.region else f"http://{name}.s3.amazonaws.com/"
    return {"Location": where, "BucketArn": f"arn:aws:s3:::{name}"}


async def list_buckets(engines: Engines, call: Call) -> Output:
    values = call.input
    prefix, region = values.get("Prefix", ""), values.get("BucketRegion")
    most = values.get("MaxBuckets", BUCKETS_MAX)
    if not 1 <= most <= BUCKETS_MAX:
        raise invalid_argument(
            f"Argument max-buckets must be an integer between 1 and {BUCKETS_MAX}", "max-buckets", most
        )
    after = _after(values.get("ContinuationToken"))
    rows = await engines.objects.buckets.list(call.scope, prefix=prefix, after=after, limit=BUCKETS_MAX)
    found = [(name, held) for name, held in rows if region is None or held.region == region]
    page = found[:most]
    paged = any(name in values for name in ("MaxBuckets", "Prefix", "ContinuationToken", "BucketRegion"))
    return {
        "Buckets": [
            {
                "Name": name,
                "CreationDate": float(held.created_ms // 1000),
                "BucketArn": f"arn:aws:s3:::{name}",
                # S3 names the region only in answers that could be one of several pages.
                "BucketRegion": held.region if paged else None,
            }
            for name, held in page
        ],
        "Owner": owner(call.scope.account),
        "Prefix": values.get("Prefix"),
        "ContinuationToken": _token(page[-1][0]) if len(found) > most else None,
    }


async def head_bucket(engines: Engines, call: Call) -> Output:
    held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return {"BucketRegion": held.region, "BucketArn": f"arn:aws:s3:::{held.name}", "AccessPointAlias": False}


async def delete_bucket(engines: Engines, call: Call) -> Output:
    await engines.objects.buckets.delete(call.scope, call.input["Bucket"])
    return {}


async def get_bucket_location(engines: Engines, call: Call) -> Output:
    held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return {"LocationConstraint": None if held.region == HOME else held.region}


def _region(here: str, constraint: str | None) -> str:
    """Where the bucket goes. S3 API reference, CreateBucket, "LocationConstraint"."""
    if constraint == EUROPE:
        constraint = "eu-west-1"
    if constraint == HOME:
        raise AwsError("InvalidLocationConstraint", "The specified location-constraint is not valid", 400)
    if here == HOME:
        return constraint or HOME
    if constraint != here:
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {constraint or 'unspecified'} location constraint is incompatible for the region specific endpoint this"
            " request was sent to.",
            400,
        )
    return here


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _after(token: str | None) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode() if token else ""
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("The continuation token provided is incorrect", "continuation-token", token) from error
