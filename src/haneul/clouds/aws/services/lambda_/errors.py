"""Lambda's words for what can go wrong."""

from haneul.base.errors import (
    AlreadyExists,
    Conflict,
    Damaged,
    Failure,
    Invalid,
    LimitExceeded,
    NotFound,
    PreconditionFailed,
    Throttled,
    TooLarge,
    Unavailable,
)
from haneul.base.limits import (
    CODE_UNZIPPED_MAX_BYTES,
    CONCURRENCY_UNRESERVED_MIN,
    FUNCTION_POLICY_MAX_BYTES,
    FUNCTION_TAGS_MAX,
)
from haneul.clouds.aws.call import AwsError, Call, Fault, Handler, Output
from haneul.engines import Engines

from .describing import code_hash
from .names import parse_reference

# What a handler does not word itself. The fields of the failures that need more than this are worded below.
FAULTS: dict[tuple[type[Failure], str], Fault] = {
    (NotFound, "policy"): Fault("ResourceNotFoundException", 404, "The resource you requested does not exist."),
    (NotFound, "permission"): Fault(
        "ResourceNotFoundException", 404, "Statement {name} is not found in resource policy."
    ),
    (NotFound, "role"): Fault(
        "InvalidParameterValueException", 400, "The role defined for the function cannot be assumed by Lambda."
    ),
    (AlreadyExists, "permission"): Fault(
        "ResourceConflictException",
        409,
        "The statement id ({name}) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
    ),
    (AlreadyExists, "function"): Fault("ResourceConflictException", 409, "Function already exist: {name}"),
    (Conflict, ""): Fault("ResourceConflictException", 409, "The operation cannot be performed at this time. {reason}"),
    (LimitExceeded, "concurrency"): Fault(
        "InvalidParameterValueException",
        400,
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        f"minimum value of [{CONCURRENCY_UNRESERVED_MIN}].",
    ),
    (LimitExceeded, "policy"): Fault(
        "PolicyLengthExceededException",
        400,
        f"The final policy size is bigger than the limit ({FUNCTION_POLICY_MAX_BYTES}).",
    ),
    (Unavailable, ""): Fault("ServiceException", 500, "{reason}"),
    (Damaged, ""): Fault("ServiceException", 500, "{reason}"),
}

_THROTTLE_REASONS = {
    "function": "ReservedFunctionConcurrentInvocationLimitExceeded",
    "account": "ConcurrentInvocationLimitExceeded",
    "node": "ConcurrentInvocationLimitExceeded",
}
_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the {} API to retrieve the latest Revision Id"
)


def worded(handler: Handler) -> Handler:
    """The handler, with its failures in Lambda's words: each carries Type, and names the ARN that the caller meant."""

    async def answer(engines: Engines, call: Call) -> Output:
        try:
            return await handler(engines, call)
        except Failure as failure:
            raise (_special(failure, call) or _plain(failure) or failure) from failure

    return answer


def _plain(failure: Failure) -> AwsError | None:
    fault = FAULTS.get((type(failure), failure.noun)) or FAULTS.get((type(failure), ""))
    if fault is None:
        return None
    message = fault.message.format(name=failure.name, reason=failure.reason, noun=failure.noun)
    return AwsError(fault.code, message, fault.status, Type="Service" if fault.status >= 500 else "User")


def _special(failure: Failure, call: Call) -> AwsError | None:
    fields = failure.fields
    if isinstance(failure, NotFound) and failure.noun == "function":
        meant = parse_reference(
            call.scope, call.input.get("FunctionName") or call.input.get("Resource") or failure.name
        )
        meant = meant._replace(qualifier=call.input.get("Qualifier") or meant.qualifier)
        return _user("ResourceNotFoundException", f"Function not found: {meant.arn}", 404)
    if isinstance(failure, PreconditionFailed):
        where = "GetPolicy" if failure.noun == "policy" else "GetFunction/GetAlias"
        return _user("PreconditionFailedException", _REVISION.format(where), 412)
    if isinstance(failure, Throttled):
        reason = _THROTTLE_REASONS.get(fields.get("limit", ""), "CallerRateLimitExceeded")
        return AwsError("TooManyRequestsException", "Rate Exceeded.", 429, Type="User", Reason=reason)
    if isinstance(failure, TooLarge):
        return _too_large(failure, call)
    if isinstance(failure, Invalid):
        return _invalid(failure, call)
    return None


def _too_large(failure: TooLarge, call: Call) -> AwsError:
    if failure.noun == "payload":
        kind = call.input.get("InvocationType", "RequestResponse")
        size, limit = failure.fields["size_bytes"], failure.fields["size_max_bytes"]
        return _user(
            "RequestTooLargeException",
            f"{size} byte payload is too large for the {kind} invocation type (limit {limit} bytes)",
            413,
        )
    return _user(
        "InvalidParameterValueException", f"Unzipped size must be smaller than {CODE_UNZIPPED_MAX_BYTES} bytes"
    )


def _invalid(failure: Invalid, call: Call) -> AwsError:
    cause = failure.fields.get("cause", "")
    if cause == "empty":
        return _user("InvalidParameterValueException", "Uploaded file must be a non-empty zip")
    if cause == "archive":
        # The first sentence is Lambda's own; what is wrong with the archive is said too, because it helps.
        return _user(
            "InvalidParameterValueException",
            f"Could not unzip uploaded file. Please check your file, then try to upload again. ({failure.reason})",
        )
    if cause == "sha256":
        current = code_hash(failure.fields["current"])
        return _user(
            "InvalidParameterValueException",
            f"CodeSHA256 ({call.input['CodeSha256']}) is different from current CodeSHA256 in $LATEST ({current}). Please "
            "try again with the CodeSHA256 in $LATEST.",
        )
    if cause == "tags":
        return _user(
            "InvalidParameterValueException", f"Number of tags exceeds resource tag limit of {FUNCTION_TAGS_MAX}."
        )
    return _user("InvalidParameterValueException", failure.reason)


def _user(code: str, message: str, status: int = 400) -> AwsError:
    return AwsError(code, message, status, Type="User")
