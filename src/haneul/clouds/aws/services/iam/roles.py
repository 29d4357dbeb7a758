"""Roles: what functions, services and other accounts act as."""

import json
from typing import TYPE_CHECKING

from msgspec.structs import replace

from haneul.base import limits
from haneul.clouds.aws.call import AwsError, Call, Operation, Output
from haneul.clouds.aws.policies import parse_policy
from haneul.engines.identity.holders import size_of
from haneul.engines.identity.records import Document, Holder

from . import holding, shapes
from .holding import ROLE

if TYPE_CHECKING:
    from haneul.engines import Engines

_LINKED_PATH = "/aws-service-role/"
# Service-linked roles whose names do not follow from the service's own: IAM user guide, "AWS services that work with IAM".
_LINKED_NAMES = {
    "apidestinations.events.amazonaws.com": "AmazonEventBridgeApiDestinations",
    "autoscaling.amazonaws.com": "AutoScaling",
    "dynamodb.application-autoscaling.amazonaws.com": "ApplicationAutoScaling_DynamoDBTable",
    "ecs.amazonaws.com": "ECS",
    "elasticloadbalancing.amazonaws.com": "ElasticLoadBalancing",
    "lambda.application-autoscaling.amazonaws.com": "ApplicationAutoScaling_LambdaConcurrency",
    "ops.apigateway.amazonaws.com": "APIGateway",
    "replication.dynamodb.amazonaws.com": "DynamoDBReplication",
    "replicator.lambda.amazonaws.com": "LambdaReplicator",
}


async def create_role(engines: "Engines", call: Call) -> Output:
    given = call.input
    if given.get("Path", "/").startswith(_LINKED_PATH):
        raise AwsError("ValidationError", f"Path {given['Path']} is reserved for service-linked roles")
    role = await engines.identity.roles.create(
        call.scope,
        given["RoleName"],
        path=given.get("Path", "/"),
        tags=shapes.tags_of(call),
        boundary=holding.boundary_of(engines, call),
        trust=_trust(given["AssumeRolePolicyDocument"]),
        description=given.get("Description", ""),
        session_max_s=given.get("MaxSessionDuration", 3600),
    )
    return {"Role": shapes.role_shape(engines, call, role, created=True)}


async def get_role(engines: "Engines", call: Call) -> Output:
    return {"Role": shapes.role_shape(engines, call, holding.find(engines, call, ROLE))}


async def list_roles(engines: "Engines", call: Call) -> Output:
    roles = engines.identity.roles.list(call.scope, call.input.get("PathPrefix", "/"))
    return shapes.page(
        call, "Roles", roles, shapes.by_name, lambda role: shapes.role_shape(engines, call, role, whole=False)
    )


async def update_role(engines: "Engines", call: Call) -> Output:
    given = call.input

    def edit(role: Holder) -> Holder:
        return replace(
            role,
            description=given.get("Description", role.description),
            session_max_s=given.get("MaxSessionDuration", role.session_max_s),
        )

    await engines.identity.roles.change(call.scope, holding.changeable(engines, call, ROLE), edit)
    return {}


async def update_role_description(engines: "Engines", call: Call) -> Output:
    name = holding.changeable(engines, call, ROLE)
    description = call.input["Description"]
    role = await engines.identity.roles.change(call.scope, name, lambda role: replace(role, description=description))
    return {"Role": shapes.role_shape(engines, call, role)}


async def update_assume_role_policy(engines: "Engines", call: Call) -> Output:
    name = holding.changeable(engines, call, ROLE)
    trust = _trust(call.input["PolicyDocument"])
    await engines.identity.roles.change(call.scope, name, lambda role: replace(role, trust=trust))
    return {}


async def delete_role(engines: "Engines", call: Call) -> Output:
    await engines.identity.roles.delete(call.scope, holding.changeable(engines, call, ROLE))
    return {}


def _trust(source: str) -> Document:
    document = parse_policy(source, "trust")
    if size_of(document) > limits.TRUST_POLICY_MAX_CHARS:
        raise holding.too_long("ACLSizePerRole", limits.TRUST_POLICY_MAX_CHARS)
    return document


async def create_service_linked_role(engines: "Engines", call: Call) -> Output:
    service, suffix = call.input["AWSServiceName"], call.input.get("CustomSuffix", "")
    name = linked_role_name(service) + (f"_{suffix}" if suffix else "")
    if engines.identity.roles.find(call.scope, name) is not None:
        raise AwsError(
            "InvalidInput",
            f"Service role name {name} has been taken in this account, please try a different suffix.",
        )
    statement = {"Effect": "Allow", "Principal": {"Service": [service]}, "Action": ["sts:AssumeRole"]}
    trust = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "trust")
    role = await engines.identity.roles.create(
        call.scope,
        name,
        path=f"{_LINKED_PATH}{service}/",
        trust=trust,
        description=call.input.get("Description", ""),
        linked_to=service,
    )
    return {"Role": shapes.role_shape(engines, call, role, created=True)}


def linked_role_name(service: str) -> str:
    """AWSServiceRoleFor… of a service such as lambda.amazonaws.com."""
    known = _LINKED_NAMES.get(service)
    if known is None:
        first = service.partition(".")[0]
        known = first[:1].upper() + first[1:]
    return f"AWSServiceRoleFor{known}"


async def delete_service_linked_role(engines: "Engines", call: Call) -> Output:
    """Done at once; the task id tells of the role, so that its status can be told also after a restart."""
    role = holding.find(engines, call, ROLE)
    if not role.linked_to:
        raise AwsError("InvalidInput", f"Role {role.name} is not a service-linked role.")
    await engines.identity.roles.delete(call.scope, role.name, linked=True)
    return {"DeletionTaskId": f"task{role.path}{role.name}/{role.id.lower()}"}


async def get_service_linked_role_deletion_status(engines: "Engines", call: Call) -> Output:
    task = call.input["DeletionTaskId"].split("/")
    if len(task) != 5 or task[:2] != ["task", "aws-service-role"]:
        raise AwsError("NoSuchEntity", f"The deletion task {call.input['DeletionTaskId']} cannot be found.", 404)
    role = engines.identity.roles.find(call.scope, task[3])
    return {"Status": "SUCCEEDED" if role is None or role.id.lower() != task[4] else "NOT_STARTED"}


_ONE = shapes.resource("role", "RoleName")

OPERATIONS = {
    **holding.operations(ROLE),
    "CreateRole": Operation(create_role, "iam:CreateRole", _ONE),
    "GetRole": Operation(get_role, "iam:GetRole", _ONE),
    "ListRoles": Operation(list_roles, "iam:ListRoles", shapes.anything),
    "UpdateRole": Operation(update_role, "iam:UpdateRole", _ONE),
    "UpdateRoleDescription": Operation(update_role_description, "iam:UpdateRoleDescription", _ONE),
    "UpdateAssumeRolePolicy": Operation(update_assume_role_policy, "iam:UpdateAssumeRolePolicy", _ONE),
    "DeleteRole": Operation(delete_role, "iam:DeleteRole", _ONE),
    "CreateServiceLinkedRole": Operation(create_service_linked_role, "iam:CreateServiceLinkedRole", shapes.anything),
    "DeleteServiceLinkedRole": Operation(delete_service_linked_role, "iam:DeleteServiceLinkedRole", _ONE),
    "GetServiceLinkedRoleDeletionStatus": Operation(
        get_service_linked_role_deletion_status, "iam:GetServiceLinkedRoleDeletionStatus", shapes.anything
    ),
}
