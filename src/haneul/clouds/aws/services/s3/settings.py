"""What is recorded about a bucket: tags, policy, encryption, public access, ownership, ACL; defaults and absences as S3's."""

from typing import Any

import msgspec

from haneul.base.errors import Invalid, NotFound
from haneul.base.limits import BUCKET_POLICY_MAX_BYTES, BUCKET_TAGS_MAX
from haneul.clouds.aws.call import AwsError, Call, Handler, Output
from haneul.clouds.aws.policies import parse_policy
from haneul.engines import Engines
from haneul.engines.objects.records import Bucket

from .describing import check_tag
from .errors import invalid_argument
from .names import owner

TAGGING = "tagging"
POLICY = "policy"
ENCRYPTION = "encryption"
PUBLIC_ACCESS = "public access"
OWNERSHIP = "ownership"
ACL = "acl"

DEFAULT_ENCRYPTION = {
    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
}
DEFAULT_PUBLIC_ACCESS = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
ENFORCED = "BucketOwnerEnforced"
DEFAULT_OWNERSHIP = {"Rules": [{"ObjectOwnership": ENFORCED}]}
GROUPS = "http://acs.amazonaws.com/groups/global/"
CANNED = {
    "private": (),
    "public-read": (("AllUsers", "READ"),),
    "public-read-write": (("AllUsers", "READ"), ("AllUsers", "WRITE")),
    "authenticated-read": (("AuthenticatedUsers", "READ"),),
}


def tag_set(tags: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The tags, when S3 would take them. Raises InvalidTag."""
    seen: set[str] = set()
    for tag in tags:
        check_tag(tag["Key"], tag["Value"])
        if tag["Key"] in seen:
            raise AwsError("InvalidTag", "Cannot provide multiple Tags with the same key", 400, TagKey=tag["Key"])
        seen.add(tag["Key"])
    return [{"Key": tag["Key"], "Value": tag["Value"]} for tag in tags]


async def get_bucket_tagging(engines: Engines, call: Call) -> Output:
    return await _recorded(engines, call, TAGGING, "NoSuchTagSet", "The TagSet does not exist")


async def put_bucket_tagging(engines: Engines, call: Call) -> Output:
    tags = tag_set(call.input["Tagging"]["TagSet"])
    if len(tags) > BUCKET_TAGS_MAX:
        raise AwsError("BadRequest", f"Bucket tag count cannot be greater than {BUCKET_TAGS_MAX}", 400)
    return await _record(engines, call, TAGGING, {"TagSet": tags})


async def get_bucket_policy(engines: Engines, call: Call) -> Output:
    return await _recorded(engines, call, POLICY, "NoSuchBucketPolicy", "The bucket policy does not exist")


async def put_bucket_policy(engines: Engines, call: Call) -> Output:
    """Recorded; whom it lets in is decided where calls are authorised."""
    policy = call.input["Policy"]
    if len(policy.encode()) > BUCKET_POLICY_MAX_BYTES:
        raise AwsError("PolicyTooLarge", "The policy size exceeds the maximum allowed policy size", 400)
    try:
        parse_policy(policy, "resource")
    except Invalid as error:
        raise AwsError("MalformedPolicy", error.reason, 400) from error
    document = msgspec.json.encode({"Policy": policy})
    await engines.objects.buckets.put_setting(call.scope, call.input["Bucket"], POLICY, document, shared=True)
    return {}


async def delete_bucket_policy(engines: Engines, call: Call) -> Output:
    await engines.objects.buckets.delete_setting(call.scope, call.input["Bucket"], POLICY, shared=False)
    return {}


async def get_bucket_policy_status(engines: Engines, call: Call) -> Output:
    recorded = await _recorded(engines, call, POLICY, "NoSuchBucketPolicy", "The bucket policy does not exist")
    allowed = [
        statement
        for statement in parse_policy(recorded["Policy"], "resource").policy.statements
        if statement.effect == "allow"
    ]
    public = any(one.principals is not None and one.principals.everyone and not one.conditions for one in allowed)
    return {"PolicyStatus": {"IsPublic": public}}


async def get_bucket_encryption(engines: Engines, call: Call) -> Output:
    default = {"ServerSideEncryptionConfiguration": DEFAULT_ENCRYPTION}
    return await _recorded_or(engines, call, ENCRYPTION, default)


async def put_bucket_encryption(engines: Engines, call: Call) -> Output:
    return await _record(
        engines,
        call,
        ENCRYPTION,
        {"ServerSideEncryptionConfiguration": call.input["ServerSideEncryptionConfiguration"]},
    )


async def get_public_access_block(engines: Engines, call: Call) -> Output:
    found = await _recorded_or(engines, call, PUBLIC_ACCESS, {"PublicAccessBlockConfiguration": DEFAULT_PUBLIC_ACCESS})
    if found["PublicAccessBlockConfiguration"] is None:
        raise AwsError(
            "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", 404
        )
    return found


async def put_public_access_block(engines: Engines, call: Call) -> Output:
    given = call.input["PublicAccessBlockConfiguration"]
    whole = {name: bool(given.get(name, False)) for name in DEFAULT_PUBLIC_ACCESS}
    return await _record(engines, call, PUBLIC_ACCESS, {"PublicAccessBlockConfiguration": whole})


async def delete_public_access_block(engines: Engines, call: Call) -> Output:
    return await _record(engines, call, PUBLIC_ACCESS, {"PublicAccessBlockConfiguration": None})


async def get_bucket_ownership_controls(engines: Engines, call: Call) -> Output:
    found = await _recorded_or(engines, call, OWNERSHIP, {"OwnershipControls": DEFAULT_OWNERSHIP})
    if found["OwnershipControls"] is None:
        raise AwsError("OwnershipControlsNotFoundError", "The bucket ownership controls were not found", 404)
    return found


async def put_bucket_ownership_controls(engines: Engines, call: Call) -> Output:
    return await _record(engines, call, OWNERSHIP, {"OwnershipControls": call.input["OwnershipControls"]})


async def delete_bucket_ownership_controls(engines: Engines, call: Call) -> Output:
    return await _record(engines, call, OWNERSHIP, {"OwnershipControls": None})


async def get_bucket_acl(engines: Engines, call: Call) -> Output:
    held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return await _recorded_or(engines, call, ACL, _canned(held.account, "private"))


async def put_bucket_acl(engines: Engines, call: Call) -> Output:
    """Recorded; whom it lets in is decided where calls are authorised."""
    held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    canned, written = call.input.get("ACL"), call.input.get("AccessControlPolicy")
    if canned is not None and canned not in CANNED:
        raise invalid_argument("", "x-amz-acl", canned)
    ownership = _document(held, OWNERSHIP, {"OwnershipControls": DEFAULT_OWNERSHIP})["OwnershipControls"]
    enforced = ownership is not None and ownership["Rules"][0]["ObjectOwnership"] == ENFORCED
    if enforced and canned != "private":
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)
    if canned is not None:
        access = _document(held, PUBLIC_ACCESS, {"PublicAccessBlockConfiguration": DEFAULT_PUBLIC_ACCESS})
        blocked = (access["PublicAccessBlockConfiguration"] or {}).get("BlockPublicAcls", False)
        if blocked and CANNED[canned]:
            raise AwsError("AccessDenied", "Access Denied", 403)
        return await _record(engines, call, ACL, _canned(held.account, canned))
    if written is None:
        raise AwsError("MissingSecurityHeader", "Your request was missing a required header", 400)
    return await _record(engines, call, ACL, {"Owner": owner(held.account), "Grants": written.get("Grants", [])})


async def get_object_acl(engines: Engines, call: Call) -> Output:
    await engines.objects.get(call.scope, call.input["Bucket"], call.input["Key"])
    held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return _canned(held.account, "private")


async def get_bucket_versioning(engines: Engines, call: Call) -> Output:
    """Never switched on: then S3 answers with an empty element."""
    await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return {}


async def get_bucket_request_payment(engines: Engines, call: Call) -> Output:
    await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return {"Payer": "BucketOwner"}


async def get_nothing(engines: Engines, call: Call) -> Output:
    """For what S3 answers with an empty element when it was never configured."""
    await engines.objects.buckets.get(call.scope, call.input["Bucket"])
    return {}


def get_absent(code: str, message: str) -> Handler:
    """For what S3 answers with an error when it was never configured, and what cannot be configured here."""

    async def get(engines: Engines, call: Call) -> Output:
        await engines.objects.buckets.get(call.scope, call.input["Bucket"])
        raise AwsError(code, message, 404, BucketName=call.input["Bucket"])

    return get


def delete_setting(setting: str) -> Handler:
    """Forget what was recorded under this name."""

    async def delete(engines: Engines, call: Call) -> Output:
        await engines.objects.buckets.delete_setting(call.scope, call.input["Bucket"], setting)
        return {}

    return delete


async def _record(engines: Engines, call: Call, setting: str, document: Output) -> Output:
    await engines.objects.buckets.put_setting(call.scope, call.input["Bucket"], setting, msgspec.json.encode(document))
    return {}


async def _recorded(engines: Engines, call: Call, setting: str, code: str, message: str) -> Output:
    try:
        document = await engines.objects.buckets.get_setting(call.scope, call.input["Bucket"], setting)
    except NotFound as error:
        if error.noun != "setting":
            raise
        raise AwsError(code, message, 404, BucketName=call.input["Bucket"]) from error
    found: Output = msgspec.json.decode(document)
    return found


async def _recorded_or(engines: Engines, call: Call, setting: str, default: Output) -> Output:
    return _document(await engines.objects.buckets.get(call.scope, call.input["Bucket"]), setting, default)


def _document(held: Bucket, setting: str, default: Output) -> Output:
    document = held.settings.get(setting)
    if document is None:
        return default
    found: Output = msgspec.json.decode(document)
    return found


def _canned(account: str, name: str) -> Output:
    """Owner and Grants of a canned ACL."""
    mine = owner(account)
    grants: list[dict[str, Any]] = [{"Grantee": {**mine, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]
    grants += [
        {"Grantee": {"Type": "Group", "URI": GROUPS + group}, "Permission": permission}
        for group, permission in CANNED[name]
    ]
    return {"Owner": mine, "Grants": grants}
