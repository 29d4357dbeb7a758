"""Condition keys: what a policy's conditions and variables can ask about a request.

Source: IAM user guide, "AWS global condition context keys"; service authorization reference for the services' own.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from haneul.base.env import Env
from haneul.clouds.aws.call import Call
from haneul.clouds.aws.principals import principal_arn, role_of_arn, user_id
from haneul.engines.identity.engine import IdentityEngine
from haneul.engines.identity.principal import Principal

OF_THE_PRINCIPAL = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltype",
        "aws:userid",
        "aws:username",
        "aws:resourceaccount",
        "aws:principalisawsservice",
        "aws:principalservicename",
        "aws:viaawsservice",
    }
)
"""Keys that are the same for every request of one principal to one resource."""

_TYPES = {"root": "Account", "user": "User", "session": "AssumedRole", "federated": "FederatedUser"}
# Of each service, the condition keys that are an input member as it stands.
_MEMBERS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "s3:prefix": "Prefix",
        "s3:delimiter": "Delimiter",
        "s3:max-keys": "MaxKeys",
        "s3:versionid": "VersionId",
        "s3:x-amz-acl": "ACL",
        "s3:x-amz-copy-source": "CopySource",
        "s3:x-amz-metadata-directive": "MetadataDirective",
        "s3:x-amz-server-side-encryption": "ServerSideEncryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
        "s3:x-amz-storage-class": "StorageClass",
        "s3:x-amz-website-redirect-location": "WebsiteRedirectLocation",
    },
    "sts": {
        "sts:externalid": "ExternalId",
        "sts:rolesessionname": "RoleSessionName",
        "sts:sourceidentity": "SourceIdentity",
        "sts:durationseconds": "DurationSeconds",
    },
    "iam": {
        "iam:policyarn": "PolicyArn",
        "iam:permissionsboundary": "PermissionsBoundary",
        "iam:awsservicename": "AWSServiceName",
    },
    "lambda": {
        "lambda:functionarn": "FunctionName",
        "lambda:principal": "Principal",
        "lambda:functionurlauthtype": "FunctionUrlAuthType",
    },
}


def is_lasting(key: str) -> bool:
    """Whether a decision that depends on the key holds for the principal's later requests too."""
    return key in OF_THE_PRINCIPAL or key.startswith("aws:principaltag/")


def request_context(identity: IdentityEngine, env: Env, call: Call, service: str, owner: str) -> dict[str, list[str]]:
    """Every key known about a call, in lower case. owner: the account that the resource is in."""
    request = call.request
    now = datetime.fromtimestamp(env.now(), UTC)
    context = principal_context(identity, call.principal)
    context |= {
        "aws:resourceaccount": [owner],
        "aws:requestedregion": [call.scope.region],
        "aws:securetransport": ["true" if request.scheme == "https" else "false"],
        "aws:currenttime": [now.strftime("%Y-%m-%dT%H:%M:%SZ")],
        "aws:epochtime": [str(int(now.timestamp()))],
    }
    if request.remote[0]:
        context["aws:sourceip"] = [request.remote[0]]
    for key, header in (("aws:useragent", b"user-agent"), ("aws:referer", b"referer")):
        if (value := request.header(header)) is not None:
            context[key] = [value.decode("latin-1")]
    for key, member in _MEMBERS.get(service, {}).items():
        if (given := call.input.get(member)) is not None and isinstance(given, str | int | float):
            context[key] = [str(given)]
    if service == "s3":
        context["s3:authtype"] = ["REST-HEADER" if request.header(b"authorization") else "REST-QUERY-STRING"]
        if (payload := request.header(b"x-amz-content-sha256")) is not None:
            context["s3:x-amz-content-sha256"] = [payload.decode("latin-1")]
    _add_tags(context, call.input)
    return context


def principal_context(identity: IdentityEngine, principal: Principal) -> dict[str, list[str]]:
    """What is known about the principal alone."""
    if principal.kind == "service":
        return {
            "aws:principalisawsservice": ["true"],
            "aws:principalservicename": [principal.session],
            "aws:viaawsservice": ["false"],
        }
    context = {"aws:principalisawsservice": ["false"], "aws:viaawsservice": ["false"]}
    if principal.kind == "anonymous":
        return context | {"aws:principaltype": ["Anonymous"], "aws:userid": ["anonymous"]}
    context |= {
        "aws:principaltype": [_TYPES[principal.kind]],
        "aws:principalaccount": [principal.account],
        "aws:principalarn": [principal_role_arn(identity, principal)],
        "aws:userid": [user_id(principal)],
    }
    if principal.kind == "user":
        context["aws:username"] = [principal.name]
    holder = identity.holder(principal)
    tags = dict(holder.tags) if holder is not None else {}
    session = identity.sessions.find(principal.account, principal.access_key)
    if session is not None:
        tags |= session.tags
        context["aws:tokenissuetime"] = [
            datetime.fromtimestamp(session.created_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ]
    context |= {f"aws:principaltag/{key.lower()}": [value] for key, value in tags.items()}
    return context


def principal_role_arn(identity: IdentityEngine, principal: Principal) -> str:
    """What aws:PrincipalArn is: of a session the ARN of its role, of anyone else their own."""
    if principal.kind != "session":
        return principal_arn(identity, principal)
    holder = identity.holder(principal)
    return f"arn:aws:iam::{principal.account}:role{holder.path if holder else '/'}{principal.name}"


def _add_tags(context: dict[str, list[str]], given: dict[str, Any]) -> None:
    """The tags that a request brings: a list of keys and values, or a map."""
    tags = given.get("Tags", given.get("tags"))
    if isinstance(tags, list) and all(isinstance(tag, dict) and "Key" in tag for tag in tags):
        pairs = {str(tag["Key"]): str(tag.get("Value", "")) for tag in tags}
    elif isinstance(tags, dict):
        pairs = {str(key): str(value) for key, value in tags.items()}
    else:
        pairs = {}
    keys = given.get("TagKeys", given.get("tagKeys", given.get("ResourceTagKeys")))
    if pairs or isinstance(keys, list):
        context["aws:tagkeys"] = [*pairs, *(map(str, keys) if isinstance(keys, list) else ())]
    context |= {f"aws:requesttag/{key.lower()}": [value] for key, value in pairs.items()}


def account_in(resource: str) -> str:
    """The account that an ARN names, or ""."""
    pieces = resource.split(":", 5)
    return pieces[4] if len(pieces) == 6 and pieces[0] == "arn" else ""


def is_role(resource: str) -> bool:
    """Whether it is the ARN of a role."""
    return role_of_arn(resource) is not None
