"""Instance profiles, and outside identity providers: recorded, for the tools that create them."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from haneul.clouds.aws.call import AwsError, Call, Operation, Output
from haneul.engines.identity.records import Trusted

from . import holding, shapes

if TYPE_CHECKING:
    from haneul.engines import Engines

_YEAR_S = 365 * 86_400
_VALID_S = 100 * _YEAR_S  # a SAML provider's metadata names an end; IAM shows 100 years where it does not


async def create_instance_profile(engines: "Engines", call: Call) -> Output:
    profile = await engines.identity.profiles.create(
        call.scope, call.input["InstanceProfileName"], path=call.input.get("Path", "/"), tags=shapes.tags_of(call)
    )
    return {"InstanceProfile": shapes.profile_shape(engines, call, profile)}


async def get_instance_profile(engines: "Engines", call: Call) -> Output:
    profile = engines.identity.profiles.get(call.scope, call.input["InstanceProfileName"])
    return {"InstanceProfile": shapes.profile_shape(engines, call, profile)}


async def list_instance_profiles(engines: "Engines", call: Call) -> Output:
    profiles = engines.identity.profiles.list(call.scope, call.input.get("PathPrefix", "/"))
    return shapes.page(
        call,
        "InstanceProfiles",
        profiles,
        shapes.by_name,
        lambda profile: shapes.profile_shape(engines, call, profile, whole=False),
    )


async def list_instance_profiles_for_role(engines: "Engines", call: Call) -> Output:
    role = holding.find(engines, call, holding.ROLE)
    return shapes.page(
        call,
        "InstanceProfiles",
        engines.identity.profiles.list_of_role(call.scope, role.name),
        shapes.by_name,
        lambda profile: shapes.profile_shape(engines, call, profile, whole=False),
    )


async def delete_instance_profile(engines: "Engines", call: Call) -> Output:
    await engines.identity.profiles.delete(call.scope, call.input["InstanceProfileName"])
    return {}


async def add_role_to_instance_profile(engines: "Engines", call: Call) -> Output:
    await engines.identity.profiles.add_role(call.scope, call.input["InstanceProfileName"], call.input["RoleName"])
    return {}


async def remove_role_from_instance_profile(engines: "Engines", call: Call) -> Output:
    await engines.identity.profiles.remove_role(call.scope, call.input["InstanceProfileName"], call.input["RoleName"])
    return {}


async def tag_instance_profile(engines: "Engines", call: Call) -> Output:
    await engines.identity.profiles.tag(call.scope, call.input["InstanceProfileName"], shapes.tags_of(call))
    return {}


async def untag_instance_profile(engines: "Engines", call: Call) -> Output:
    await engines.identity.profiles.untag(call.scope, call.input["InstanceProfileName"], call.input["TagKeys"])
    return {}


async def list_instance_profile_tags(engines: "Engines", call: Call) -> Output:
    profile = engines.identity.profiles.get(call.scope, call.input["InstanceProfileName"])
    return shapes.page(
        call, "Tags", profile.tags.items(), lambda each: each[0], lambda each: {"Key": each[0], "Value": each[1]}
    )


async def create_oidc_provider(engines: "Engines", call: Call) -> Output:
    given = call.input
    scheme, _, rest = given["Url"].partition("://")
    if scheme != "https" or not rest:
        raise AwsError("InvalidInput", "Invalid Open ID Connect Provider URL")
    row = await engines.identity.outside.create(
        call.scope,
        "oidc",
        rest.rstrip("/"),
        audiences=given.get("ClientIDList", ()),
        thumbprints=given.get("ThumbprintList", ()),
        tags=shapes.tags_of(call),
    )
    return {"OpenIDConnectProviderArn": _oidc_arn(call, row), "Tags": shapes.tags_shape(row.tags)}


def _oidc_arn(call: Call, row: Trusted) -> str:
    return f"arn:aws:iam::{call.scope.account}:oidc-provider/{row.name}"


def _oidc_name(call: Call) -> str:
    arn = str(call.input["OpenIDConnectProviderArn"])
    return arn.partition(":oidc-provider/")[2] or arn


async def get_oidc_provider(engines: "Engines", call: Call) -> Output:
    row = engines.identity.outside.get(call.scope, "oidc", _oidc_name(call))
    return {
        "Url": row.name,
        "ClientIDList": list(row.audiences),
        "ThumbprintList": list(row.thumbprints),
        "CreateDate": shapes.seconds(row.created_ms),
        "Tags": shapes.tags_shape(row.tags),
    }


async def list_oidc_providers(engines: "Engines", call: Call) -> Output:
    rows = engines.identity.outside.list(call.scope, "oidc")
    return {"OpenIDConnectProviderList": [{"Arn": _oidc_arn(call, row)} for row in rows]}


async def delete_oidc_provider(engines: "Engines", call: Call) -> Output:
    await engines.identity.outside.delete(call.scope, "oidc", _oidc_name(call))
    return {}


async def update_oidc_thumbprints(engines: "Engines", call: Call) -> Output:
    thumbprints = tuple(call.input["ThumbprintList"])
    await engines.identity.outside.change(
        call.scope, "oidc", _oidc_name(call), lambda row: replace(row, thumbprints=thumbprints)
    )
    return {}


async def add_oidc_client(engines: "Engines", call: Call) -> Output:
    client = call.input["ClientID"]
    await engines.identity.outside.change(
        call.scope,
        "oidc",
        _oidc_name(call),
        lambda row: replace(row, audiences=tuple(dict.fromkeys((*row.audiences, client)))),
    )
    return {}


async def remove_oidc_client(engines: "Engines", call: Call) -> Output:
    client = call.input["ClientID"]
    await engines.identity.outside.change(
        call.scope,
        "oidc",
        _oidc_name(call),
        lambda row: replace(row, audiences=tuple(each for each in row.audiences if each != client)),
    )
    return {}


async def create_saml_provider(engines: "Engines", call: Call) -> Output:
    row = await engines.identity.outside.create(
        call.scope,
        "saml",
        call.input["Name"],
        body=call.input["SAMLMetadataDocument"],
        tags=shapes.tags_of(call),
    )
    return {"SAMLProviderArn": _saml_arn(call, row), "Tags": shapes.tags_shape(row.tags)}


def _saml_arn(call: Call, row: Trusted) -> str:
    return f"arn:aws:iam::{call.scope.account}:saml-provider/{row.name}"


def _saml_name(call: Call) -> str:
    arn = str(call.input["SAMLProviderArn"])
    return arn.partition(":saml-provider/")[2] or arn


async def get_saml_provider(engines: "Engines", call: Call) -> Output:
    row = engines.identity.outside.get(call.scope, "saml", _saml_name(call))
    return {"SAMLMetadataDocument": row.body, **_saml_dates(row), "Tags": shapes.tags_shape(row.tags)}


def _saml_dates(row: Trusted) -> dict[str, Any]:
    created_s = shapes.seconds(row.created_ms)
    return {"CreateDate": created_s, "ValidUntil": created_s + _VALID_S}


async def list_saml_providers(engines: "Engines", call: Call) -> Output:
    rows = engines.identity.outside.list(call.scope, "saml")
    return {"SAMLProviderList": [{"Arn": _saml_arn(call, row), **_saml_dates(row)} for row in rows]}


async def update_saml_provider(engines: "Engines", call: Call) -> Output:
    body = call.input.get("SAMLMetadataDocument")
    name = _saml_name(call)
    if body is not None:
        await engines.identity.outside.change(call.scope, "saml", name, lambda row: replace(row, body=body))
    row = engines.identity.outside.get(call.scope, "saml", name)
    return {"SAMLProviderArn": _saml_arn(call, row)}


async def delete_saml_provider(engines: "Engines", call: Call) -> Output:
    await engines.identity.outside.delete(call.scope, "saml", _saml_name(call))
    return {}


_PROFILE = shapes.resource("instance-profile", "InstanceProfileName")


def _oidc(call: Call) -> str:
    return str(call.input.get("OpenIDConnectProviderArn", "*"))


def _saml(call: Call) -> str:
    return str(call.input.get("SAMLProviderArn", "*"))


OPERATIONS = {
    name: Operation(handler, f"iam:{name}", where)
    for name, handler, where in (
        ("CreateInstanceProfile", create_instance_profile, _PROFILE),
        ("GetInstanceProfile", get_instance_profile, _PROFILE),
        ("ListInstanceProfiles", list_instance_profiles, shapes.anything),
        (
            "ListInstanceProfilesForRole",
            list_instance_profiles_for_role,
            shapes.resource("role", "RoleName"),
        ),
        ("DeleteInstanceProfile", delete_instance_profile, _PROFILE),
        ("AddRoleToInstanceProfile", add_role_to_instance_profile, _PROFILE),
        ("RemoveRoleFromInstanceProfile", remove_role_from_instance_profile, _PROFILE),
        ("TagInstanceProfile", tag_instance_profile, _PROFILE),
        ("UntagInstanceProfile", untag_instance_profile, _PROFILE),
        ("ListInstanceProfileTags", list_instance_profile_tags, _PROFILE),
        ("CreateOpenIDConnectProvider", create_oidc_provider, _oidc),
        ("GetOpenIDConnectProvider", get_oidc_provider, _oidc),
        ("ListOpenIDConnectProviders", list_oidc_providers, shapes.anything),
        ("DeleteOpenIDConnectProvider", delete_oidc_provider, _oidc),
        ("UpdateOpenIDConnectProviderThumbprint", update_oidc_thumbprints, _oidc),
        ("AddClientIDToOpenIDConnectProvider", add_oidc_client, _oidc),
        ("RemoveClientIDFromOpenIDConnectProvider", remove_oidc_client, _oidc),
        ("CreateSAMLProvider", create_saml_provider, _saml),
        ("GetSAMLProvider", get_saml_provider, _saml),
        ("ListSAMLProviders", list_saml_providers, shapes.anything),
        ("UpdateSAMLProvider", update_saml_provider, _saml),
        ("DeleteSAMLProvider", delete_saml_provider, _saml),
    )
}
