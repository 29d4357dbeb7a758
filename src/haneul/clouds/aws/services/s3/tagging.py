"""Tags of objects: Get-, Put- and DeleteObjectTagging."""

from haneul.base.limits import OBJECT_TAGS_MAX
from haneul.clouds.aws.call import AwsError, Call, Output
from haneul.engines import Engines
from haneul.engines.objects.records import UNVERSIONED

from .errors import no_such_version
from .names import origin
from .settings import tag_set


async def get_object_tagging(engines: Engines, call: Call) -> Output:
    _check_version(call)
    found = await engines.objects.get(call.scope, call.input["Bucket"], call.input["Key"])
    return {"TagSet": [{"Key": key, "Value": value} for key, value in found.description.tags.items()]}


async def put_object_tagging(engines: Engines, call: Call) -> Output:
    _check_version(call)
    tags = {tag["Key"]: tag["Value"] for tag in tag_set(call.input["Tagging"]["TagSet"])}
    if len(tags) > OBJECT_TAGS_MAX:
        raise AwsError("BadRequest", f"Object tags cannot be greater than {OBJECT_TAGS_MAX}", 400)
    await engines.objects.set_tags(call.scope, call.input["Bucket"], call.input["Key"], tags, origin(call))
    return {}


async def delete_object_tagging(engines: Engines, call: Call) -> Output:
    _check_version(call)
    await engines.objects.set_tags(call.scope, call.input["Bucket"], call.input["Key"], {}, origin(call))
    return {}


def _check_version(call: Call) -> None:
    version = call.input.get("VersionId", UNVERSIONED)
    if version != UNVERSIONED:
        raise no_such_version(call.input["Key"], version)
