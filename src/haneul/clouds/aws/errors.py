"""From what went wrong to what the client is told: failures and faults into codes, statuses and error shapes."""

from typing import Any

from haneul.base.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    Failure,
    Invalid,
    LimitExceeded,
    NotBuilt,
    NotFound,
    PreconditionFailed,
    Throttled,
    TooLarge,
    Unavailable,
)
from haneul.clouds.aws.call import AwsError, Fault, Service
from haneul.clouds.aws.model import ServiceModel
from haneul.clouds.aws.protocols import Problem
from haneul.clouds.aws.validate import CODES
from haneul.gateway.http import Header

# For failures that a service's own table leaves out.
_FAULTS: dict[type[Failure], Fault] = {
    NotFound: Fault("ResourceNotFoundException", 404, "The {noun} {name} does not exist. {reason}"),
    AlreadyExists: Fault("ResourceAlreadyExistsException", 409, "The {noun} {name} already exists. {reason}"),
    Conflict: Fault("ConflictException", 409, "{noun} {name}: {reason}"),
    PreconditionFailed: Fault("PreconditionFailedException", 412, "{reason}"),
    Invalid: Fault("ValidationException", 400, "{noun} {name}: {reason}"),
    TooLarge: Fault("RequestEntityTooLargeException", 413, "The {noun} is too large: {reason}"),
    LimitExceeded: Fault("LimitExceededException", 400, "{reason}"),
    Throttled: Fault("ThrottlingException", 429, "Rate exceeded"),
    Denied: Fault("AccessDeniedException", 403, "{reason}"),
    Unavailable: Fault("ServiceUnavailable", 503, "{reason}"),
    NotBuilt: Fault("NotImplemented", 501, "haneul does not offer this: {noun} {name} {reason}"),
}
_INTERNAL = Fault(
    "InternalFailure", 500, "The request processing has failed because of an unknown error, exception or failure."
)
# S3 names the thing in question beside these codes: the element, and the input member that it repeats.
_S3_FACTS = {
    "NoSuchBucket": ("BucketName", "Bucket"),
    "BucketNotEmpty": ("BucketName", "Bucket"),
    "BucketAlreadyExists": ("BucketName", "Bucket"),
    "BucketAlreadyOwnedByYou": ("BucketName", "Bucket"),
    "InvalidBucketName": ("BucketName", "Bucket"),
    "NoSuchBucketPolicy": ("BucketName", "Bucket"),
    "NoSuchTagSet": ("BucketName", "Bucket"),
    "NoSuchKey": ("Key", "Key"),
    "NoSuchUpload": ("UploadId", "UploadId"),
    "NoSuchVersion": ("VersionId", "VersionId"),
}
_CODED = frozenset({"query", "rest-xml"})


def unknown_operation(name: str, model: ServiceModel | None, protocol: str) -> AwsError:
    """For a request that names no operation of its service."""
    if protocol == "query":
        version = model.metadata.api_version if model is not None else ""
        return AwsError("InvalidAction", f"Could not find operation {name} for version {version}")
    if protocol == "rest-xml":
        return AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    status = 404 if protocol in ("rest-json", "rpc-cbor") else 400
    return AwsError(
        "UnknownOperationException", f"The requested operation {name or ''} is not valid.".replace("  ", " "), status
    )


def not_built(service: str, operation: str) -> AwsError:
    """For what AWS has and haneul has not."""
    what = f"{service} {operation}".strip()
    return AwsError("NotImplemented", f"haneul does not offer {what}; docs/services lists what it offers", 501)


def problem_of(
    error: Exception,
    *,
    service: Service | None,
    model: ServiceModel | None,
    protocol: str,
    request_id: str,
    input: dict[str, Any],
) -> Problem:
    """What to tell the client. input: the call's input as far as it was known."""
    headers: tuple[Header, ...] = ()
    if isinstance(error, AwsError):
        code, message, status, members = error.code, error.message, error.status, error.members
        headers = tuple(error.headers)
    elif isinstance(error, Failure):
        fault = _fault(error, service)
        facts = {"noun": error.noun, "name": error.name, "reason": error.reason, **error.fields}
        code, message, status, members = fault.code, _message(fault, facts), fault.status, error.fields
        if isinstance(error, Invalid) and code == "ValidationException" and model is not None:
            code = CODES.get(model.name, code)
    else:
        code, message, status, members = _INTERNAL.code, _INTERNAL.message, _INTERNAL.status, {}
    shape = ""
    found = model.exception(code) if model is not None else None
    if found is not None:
        shape, exception = found
        trait = exception.error
        if trait is not None:
            if trait.http_status_code is not None and status == 400:
                status = trait.http_status_code
            # Query services put the trait's code on the wire, JSON services the shape's name.
            code = trait.code if trait.code is not None and _coded(model, protocol) else code
        if protocol != "rest-xml":
            members = {
                name: value for name, value in members.items() if name in exception.members and value is not None
            }
    elif not isinstance(error, AwsError) or protocol != "rest-xml":
        members = {}
    if protocol == "rest-xml" and isinstance(error, Failure):
        members = {}
    if model is not None and model.name == "s3" and code in _S3_FACTS:
        element, member = _S3_FACTS[code]
        if input.get(member) is not None:
            members = {element: input[member], **members}
    return Problem(code, message, status, request_id, shape, members, headers)


def _coded(model: ServiceModel | None, protocol: str) -> bool:
    return protocol in _CODED or (model is not None and model.metadata.aws_query_compatible is not None)


def _fault(failure: Failure, service: Service | None) -> Fault:
    if service is not None:
        for kind in type(failure).__mro__:
            for noun in (failure.noun, ""):
                fault = service.faults.get((kind, noun))
                if fault is not None:
                    return fault
    return next((_FAULTS[kind] for kind in type(failure).__mro__ if kind in _FAULTS), _INTERNAL)


def _message(fault: Fault, facts: dict[str, Any]) -> str:
    try:
        text = fault.message.format_map(facts)
    except (KeyError, IndexError):
        text = str(facts["reason"])
    return " ".join(text.split())
