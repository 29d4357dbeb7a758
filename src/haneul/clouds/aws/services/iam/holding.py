"""What users, groups and roles have in common in IAM's face: policies of their own, attached ones, bounds and tags."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from haneul.clouds.aws.call import AwsError, Call, Handler, Operation, Output
from haneul.clouds.aws.policies import parse_policy
from haneul.clouds.aws.principals import policy_of_arn
from haneul.engines.identity.holders import Holders
from haneul.engines.identity.records import Holder, PolicyRef

from . import shapes

if TYPE_CHECKING:
    from haneul.engines import Engines


class Face(msgspec.Struct, frozen=True):
    """One of the three: how it is called in operation names, and where it is."""

    title: str
    pick: Callable[["Engines"], Holders]

    @property
    def member(self) -> str:
        """The input member that names one."""
        return f"{self.title}Name"


USER = Face("User", lambda engines: engines.identity.users)
GROUP = Face("Group", lambda engines: engines.identity.groups)
ROLE = Face("Role", lambda engines: engines.identity.roles)


def operations(face: Face) -> dict[str, Operation]:
    """The operations on the policies, bounds and tags of one of the three."""
    title = face.title
    table = {
        f"Put{title}Policy": put_inline,
        f"Get{title}Policy": get_inline,
        f"Delete{title}Policy": delete_inline,
        f"List{title}Policies": list_inline,
        f"Attach{title}Policy": attach,
        f"Detach{title}Policy": detach,
        f"ListAttached{title}Policies": list_attached,
    }
    if face is not GROUP:
        table |= {
            f"Put{title}PermissionsBoundary": put_boundary,
            f"Delete{title}PermissionsBoundary": delete_boundary,
            f"Tag{title}": tag,
            f"Untag{title}": untag,
            f"List{title}Tags": list_tags,
        }
    where = shapes.resource(title.lower(), face.member)
    return {name: Operation(_bind(work, face), f"iam:{name}", where) for name, work in table.items()}


def _bind(work: Callable[["Engines", Call, Face], Awaitable[Output]], face: Face) -> Handler:
    async def handler(engines: "Engines", call: Call) -> Output:
        return await work(engines, call, face)

    return handler


def find(engines: "Engines", call: Call, face: Face) -> Holder:
    """The one that the input names. Raises NotFound."""
    return face.pick(engines).get(call.scope, call.input[face.member])


def changeable(engines: "Engines", call: Call, face: Face) -> str:
    """Its name, unless it belongs to a service and only that may change it."""
    holder = find(engines, call, face)
    if holder.linked_to:
        raise AwsError(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{holder.name}' - this role is only modifiable by AWS",
        )
    return holder.name


async def put_inline(engines: "Engines", call: Call, face: Face) -> Output:
    name = changeable(engines, call, face)
    document = parse_policy(call.input["PolicyDocument"])
    await face.pick(engines).put_inline(call.scope, name, call.input["PolicyName"], document)
    return {}


async def get_inline(engines: "Engines", call: Call, face: Face) -> Output:
    name, policy = call.input[face.member], call.input["PolicyName"]
    document = face.pick(engines).inline(call.scope, name, policy)
    return {face.member: name, "PolicyName": policy, "PolicyDocument": shapes.encoded(document)}


async def delete_inline(engines: "Engines", call: Call, face: Face) -> Output:
    name = changeable(engines, call, face)
    await face.pick(engines).delete_inline(call.scope, name, call.input["PolicyName"])
    return {}


async def list_inline(engines: "Engines", call: Call, face: Face) -> Output:
    return shapes.page(call, "PolicyNames", find(engines, call, face).inline, str, str)


async def attach(engines: "Engines", call: Call, face: Face) -> Output:
    name = changeable(engines, call, face)
    ref = shapes.policy_ref(engines, call, call.input["PolicyArn"], attaching=True)
    await face.pick(engines).attach(call.scope, name, ref)
    return {}


async def detach(engines: "Engines", call: Call, face: Face) -> Output:
    name = changeable(engines, call, face)
    arn = call.input["PolicyArn"]
    found = policy_of_arn(arn)
    if found is None:
        raise AwsError("InvalidInput", f"ARN {arn} is not valid.")
    if found[1] not in find(engines, call, face).attached:
        raise AwsError("NoSuchEntity", f"Policy {arn} was not found.", 404)
    await face.pick(engines).detach(call.scope, name, found[1])
    return {}


async def list_attached(engines: "Engines", call: Call, face: Face) -> Output:
    prefix = call.input.get("PathPrefix", "/")
    return shapes.page(
        call,
        "AttachedPolicies",
        _under(engines, call, find(engines, call, face).attached, prefix),
        lambda ref: ref.name.casefold(),
        lambda ref: {"PolicyName": ref.name, "PolicyArn": shapes.ref_arn(engines, call, ref)},
    )


def _under(engines: "Engines", call: Call, refs: Iterable[PolicyRef], prefix: str) -> list[PolicyRef]:
    found = [(ref, engines.identity.policies.find(call.scope, ref)) for ref in refs]
    return [ref for ref, policy in found if policy is not None and policy.path.startswith(prefix)]


async def put_boundary(engines: "Engines", call: Call, face: Face) -> Output:
    name = changeable(engines, call, face)
    ref = shapes.policy_ref(engines, call, call.input["PermissionsBoundary"], attaching=True)
    await face.pick(engines).put_boundary(call.scope, name, ref)
    return {}


async def delete_boundary(engines: "Engines", call: Call, face: Face) -> Output:
    await face.pick(engines).put_boundary(call.scope, changeable(engines, call, face), None)
    return {}


async def tag(engines: "Engines", call: Call, face: Face) -> Output:
    await face.pick(engines).tag(call.scope, changeable(engines, call, face), shapes.tags_of(call))
    return {}


async def untag(engines: "Engines", call: Call, face: Face) -> Output:
    await face.pick(engines).untag(call.scope, changeable(engines, call, face), call.input["TagKeys"])
    return {}


async def list_tags(engines: "Engines", call: Call, face: Face) -> Output:
    tags = find(engines, call, face).tags
    return shapes.page(
        call, "Tags", tags.items(), lambda each: each[0], lambda each: {"Key": each[0], "Value": each[1]}
    )


def boundary_of(engines: "Engines", call: Call) -> PolicyRef | None:
    """The bound that a new user or role is given."""
    arn = call.input.get("PermissionsBoundary")
    return shapes.policy_ref(engines, call, arn, attaching=True) if arn else None


def too_long(quota: str, limit: int) -> AwsError:
    """What IAM says of a document that passes a limit."""
    return AwsError("LimitExceeded", f"Cannot exceed quota for {quota}: {limit}", 409)
