"""Users and groups, their memberships, access keys and passwords."""

from typing import TYPE_CHECKING, Any

from haneul.base.errors import NotFound
from haneul.clouds.aws.call import AwsError, Call, Operation, Output
from haneul.clouds.aws.principals import principal_arn
from haneul.engines.identity.records import Key, Login

from . import holding, shapes
from .holding import GROUP, USER

if TYPE_CHECKING:
    from haneul.engines import Engines


async def create_user(engines: "Engines", call: Call) -> Output:
    user = await engines.identity.users.create(
        call.scope,
        call.input["UserName"],
        path=call.input.get("Path", "/"),
        tags=shapes.tags_of(call),
        boundary=holding.boundary_of(engines, call),
    )
    return {"User": shapes.user_shape(engines, call, user)}


async def get_user(engines: "Engines", call: Call) -> Output:
    name = call.input.get("UserName")
    if name is None and call.principal.kind in ("root", "anonymous"):
        account = engines.identity.account(call.scope)
        return {
            "User": {
                "Path": "/",
                "UserName": "root",
                "UserId": call.scope.account,
                "Arn": f"arn:aws:iam::{call.scope.account}:root",
                "CreateDate": shapes.seconds(account.created_ms),
            }
        }
    return {"User": shapes.user_shape(engines, call, engines.identity.users.get(call.scope, _user_name(call)))}


def _user_name(call: Call) -> str:
    """The user that the input names, or else the caller; "" for the root."""
    name = call.input.get("UserName")
    if name is not None:
        return str(name)
    if call.principal.kind not in ("user", "root"):
        raise AwsError("ValidationError", "Must specify userName when calling with non-User credentials")
    return call.principal.name


async def list_users(engines: "Engines", call: Call) -> Output:
    users = engines.identity.users.list(call.scope, call.input.get("PathPrefix", "/"))
    return shapes.page(
        call, "Users", users, shapes.by_name, lambda user: shapes.user_shape(engines, call, user, whole=False)
    )


async def update_user(engines: "Engines", call: Call) -> Output:
    await engines.identity.members.rename_user(
        call.scope, call.input["UserName"], to=call.input.get("NewUserName"), path=call.input.get("NewPath")
    )
    return {}


async def delete_user(engines: "Engines", call: Call) -> Output:
    await engines.identity.users.delete(call.scope, call.input["UserName"])
    return {}


async def create_group(engines: "Engines", call: Call) -> Output:
    group = await engines.identity.groups.create(call.scope, call.input["GroupName"], path=call.input.get("Path", "/"))
    return {"Group": shapes.group_shape(call, group)}


async def get_group(engines: "Engines", call: Call) -> Output:
    group = holding.find(engines, call, GROUP)
    members = engines.identity.members.of_group(call.scope, group.name)
    answer = shapes.page(
        call, "Users", members, shapes.by_name, lambda user: shapes.user_shape(engines, call, user, whole=False)
    )
    return {"Group": shapes.group_shape(call, group), **answer}


async def list_groups(engines: "Engines", call: Call) -> Output:
    groups = engines.identity.groups.list(call.scope, call.input.get("PathPrefix", "/"))
    return shapes.page(call, "Groups", groups, shapes.by_name, lambda group: shapes.group_shape(call, group))


async def list_groups_for_user(engines: "Engines", call: Call) -> Output:
    groups = engines.identity.members.groups_of(call.scope, call.input["UserName"])
    return shapes.page(call, "Groups", groups, shapes.by_name, lambda group: shapes.group_shape(call, group))


async def update_group(engines: "Engines", call: Call) -> Output:
    await engines.identity.members.rename_group(
        call.scope, call.input["GroupName"], to=call.input.get("NewGroupName"), path=call.input.get("NewPath")
    )
    return {}


async def delete_group(engines: "Engines", call: Call) -> Output:
    await engines.identity.groups.delete(call.scope, call.input["GroupName"])
    return {}


async def add_user_to_group(engines: "Engines", call: Call) -> Output:
    await engines.identity.members.join(call.scope, call.input["UserName"], call.input["GroupName"])
    return {}


async def remove_user_from_group(engines: "Engines", call: Call) -> Output:
    await engines.identity.members.leave(call.scope, call.input["UserName"], call.input["GroupName"])
    return {}


async def create_access_key(engines: "Engines", call: Call) -> Output:
    name = _user_name(call)
    key = await engines.identity.keys.create(call.scope, name)
    return {
        "AccessKey": {
            "UserName": name,
            "AccessKeyId": key.id,
            "Status": "Active",
            "SecretAccessKey": key.secret,
            "CreateDate": shapes.seconds(key.created_ms),
        }
    }


async def list_access_keys(engines: "Engines", call: Call) -> Output:
    keys = engines.identity.keys.list(call.scope, _user_name(call))
    return shapes.page(call, "AccessKeyMetadata", keys, lambda key: f"{key.created_ms:015} {key.id}", _key_shape)


def _key_shape(key: Key) -> dict[str, Any]:
    return {
        "UserName": key.user,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": shapes.seconds(key.created_ms),
    }


async def update_access_key(engines: "Engines", call: Call) -> Output:
    active = call.input["Status"] == "Active"
    await engines.identity.keys.update(call.scope, _user_name(call), call.input["AccessKeyId"], active=active)
    return {}


async def delete_access_key(engines: "Engines", call: Call) -> Output:
    await engines.identity.keys.delete(call.scope, _user_name(call), call.input["AccessKeyId"])
    return {}


async def create_login_profile(engines: "Engines", call: Call) -> Output:
    user = _user_name(call)
    login = await engines.identity.members.create_login(
        call.scope,
        user,
        _password(call),
        reset_required=call.input.get("PasswordResetRequired", False),
    )
    return {"LoginProfile": _login_shape(user, login)}


async def get_login_profile(engines: "Engines", call: Call) -> Output:
    user = _user_name(call)
    return {"LoginProfile": _login_shape(user, engines.identity.members.login(call.scope, user))}


async def update_login_profile(engines: "Engines", call: Call) -> Output:
    await engines.identity.members.update_login(
        call.scope,
        call.input["UserName"],
        password=_password(call) if "Password" in call.input else None,
        reset_required=call.input.get("PasswordResetRequired"),
    )
    return {}


async def delete_login_profile(engines: "Engines", call: Call) -> Output:
    await engines.identity.members.delete_login(call.scope, _user_name(call))
    return {}


async def change_password(engines: "Engines", call: Call) -> Output:
    if call.principal.kind != "user":
        who = principal_arn(engines.identity, call.principal)
        raise AwsError("InvalidUserType", f"Only IAM Users can change their own password: {who} is none")
    members, name = engines.identity.members, call.principal.name
    if not await members.check_password(call.scope, name, call.input["OldPassword"]):
        raise AwsError("AccessDenied", "The old password was incorrect.", 403)
    await members.update_login(call.scope, name, password=call.input["NewPassword"], reset_required=False)
    return {}


def _password(call: Call) -> str:
    password = str(call.input.get("Password", ""))
    # IAM user guide, "Default password policy": 8 characters of three of four kinds.
    kinds = (str.islower, str.isupper, str.isdigit, lambda letter: not letter.isalnum())
    if len(password) < 8 or sum(any(map(kind, password)) for kind in kinds) < 3:
        raise AwsError("PasswordPolicyViolation", "Password does not conform to the account password policy.")
    return password


def _login_shape(user: str, login: Login) -> dict[str, Any]:
    return {
        "UserName": user,
        "CreateDate": shapes.seconds(login.created_ms),
        "PasswordResetRequired": login.reset_required,
    }


async def get_access_key_last_used(engines: "Engines", call: Call) -> Output:
    key_id = call.input["AccessKeyId"]
    try:
        key = engines.identity.keys.get(call.scope, key_id)
    except NotFound:
        raise AwsError(
            "AccessDenied",
            f"User: {principal_arn(engines.identity, call.principal)} is not authorized to perform: "
            f"iam:GetAccessKeyLastUsed on resource: access key {key_id}",
            403,
        ) from None
    used: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    if key.used_ms is not None:
        used = {
            "LastUsedDate": shapes.seconds(key.used_ms),
            "ServiceName": key.used_service,
            "Region": key.used_region,
        }
    return {"UserName": key.user or None, "AccessKeyLastUsed": used}


_USER = shapes.resource("user", "UserName")
_GROUP = shapes.resource("group", "GroupName")

OPERATIONS = {
    **holding.operations(USER),
    **holding.operations(GROUP),
    **{
        name: Operation(handler, f"iam:{name}", where)
        for name, handler, where in (
            ("CreateUser", create_user, _USER),
            ("GetUser", get_user, _USER),
            ("ListUsers", list_users, shapes.anything),
            ("UpdateUser", update_user, _USER),
            ("DeleteUser", delete_user, _USER),
            ("CreateGroup", create_group, _GROUP),
            ("GetGroup", get_group, _GROUP),
            ("ListGroups", list_groups, shapes.anything),
            ("ListGroupsForUser", list_groups_for_user, _USER),
            ("UpdateGroup", update_group, _GROUP),
            ("DeleteGroup", delete_group, _GROUP),
            ("AddUserToGroup", add_user_to_group, _GROUP),
            ("RemoveUserFromGroup", remove_user_from_group, _GROUP),
            ("CreateAccessKey", create_access_key, _USER),
            ("ListAccessKeys", list_access_keys, _USER),
            ("UpdateAccessKey", update_access_key, _USER),
            ("DeleteAccessKey", delete_access_key, _USER),
            ("GetAccessKeyLastUsed", get_access_key_last_used, shapes.anything),
            ("CreateLoginProfile", create_login_profile, _USER),
            ("GetLoginProfile", get_login_profile, _USER),
            ("UpdateLoginProfile", update_login_profile, _USER),
            ("DeleteLoginProfile", delete_login_profile, _USER),
            ("ChangePassword", change_password, _USER),
        )
    },
}
