"""S3's words for what can go wrong, and the two checks that stand in front of every operation."""

from collections.abc import Awaitable

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
from haneul.base.limits import OBJECT_KEY_MAX_BYTES
from haneul.clouds.aws.call import AwsError, Call, Fault, Handler, Output
from haneul.engines import Engines

NO_SUCH_KEY = "The specified key does not exist."
PRECONDITION = "At least one of the pre-conditions you specified did not hold"

# Codes and messages: S3 API reference, "Error responses", and answers of the service itself.
FAULTS: dict[tuple[type[Failure], str], Fault] = {
    (NotFound, "bucket"): Fault("NoSuchBucket", 404, "The specified bucket does not exist"),
    (NotFound, "object"): Fault("NoSuchKey", 404, NO_SUCH_KEY),
    (NotFound, "body"): Fault("NoSuchKey", 404, NO_SUCH_KEY),
    (NotFound, "upload"): Fault(
        "NoSuchUpload",
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or"
        " completed.",
    ),
    (Denied, ""): Fault("AccessDenied", 403, "Access Denied"),
    (AlreadyExists, "bucket"): Fault(
        "BucketAlreadyExists",
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please"
        " select a different name and try again.",
    ),
    (Conflict, "bucket"): Fault("BucketNotEmpty", 409, "The bucket you tried to delete is not empty"),
    (Conflict, ""): Fault(
        "OperationAborted",
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    ),
    (PreconditionFailed, ""): Fault("PreconditionFailed", 412, PRECONDITION),
    (LimitExceeded, "bucket"): Fault("TooManyBuckets", 400, "You have attempted to create more buckets than allowed"),
    (LimitExceeded, ""): Fault("InvalidArgument", 400, "{reason}"),
    (Invalid, "range"): Fault("InvalidRange", 416, "The requested range is not satisfiable"),
    (Invalid, "part"): Fault(
        "InvalidPart",
        400,
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified"
        " entity tag may not match the part's entity tag.",
    ),
    (Invalid, "part order"): Fault(
        "InvalidPartOrder",
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    (Invalid, "part size"): Fault(
        "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size"
    ),
    (Invalid, "part list"): Fault("InvalidRequest", 400, "You must specify at least one part"),
    (Invalid, "part digest"): Fault(
        "InvalidRequest",
        400,
        "The upload was created using a {algorithm} checksum. The complete request must include the checksum for each"
        " part. It was missing for part {name} in the request.",
    ),
    (Invalid, "checksum algorithm"): Fault(
        "InvalidRequest",
        400,
        "Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {name}",
    ),
    (Invalid, "object size"): Fault("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size"),
    (Invalid, "body"): Fault(
        "IncompleteBody",
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    ),
    (Invalid, ""): Fault("InvalidArgument", 400, "{reason}"),
    (TooLarge, ""): Fault("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size"),
    (NotBuilt, ""): Fault(
        "NotImplemented", 501, "A header you provided implies functionality that is not implemented: {noun} {name}"
    ),
    (Throttled, ""): Fault("SlowDown", 503, "Please reduce your request rate."),
    (Unavailable, ""): Fault("ServiceUnavailable", 503, "Service is unable to handle request. {reason}"),
}


def invalid_argument(message: str, name: str, value: object) -> AwsError:
    return AwsError("InvalidArgument", message, 400, ArgumentName=name, ArgumentValue=str(value))


def invalid_request(message: str) -> AwsError:
    return AwsError("InvalidRequest", message, 400)


def no_such_version(key: str, version: str) -> AwsError:
    return AwsError("NoSuchVersion", "The specified version does not exist.", 404, Key=key, VersionId=version)


def guarded(handler: Handler) -> Handler:
    """The handler behind the checks of the key's length and of the owner that the caller expects."""

    def run(engines: Engines, call: Call) -> Awaitable[Output]:
        key = call.input.get("Key")
        if key is not None and len(key) * 4 > OBJECT_KEY_MAX_BYTES:
            size = len(key.encode())
            if size > OBJECT_KEY_MAX_BYTES:
                raise AwsError(
                    "KeyTooLongError",
                    "Your key is too long",
                    400,
                    Size=str(size),
                    MaxSizeAllowed=str(OBJECT_KEY_MAX_BYTES),
                )
        expected = call.input.get("ExpectedBucketOwner")
        return handler(engines, call) if expected is None else run_for(expected, engines, call)

    async def run_for(expected: str, engines: Engines, call: Call) -> Output:
        held = await engines.objects.buckets.get(call.scope, call.input["Bucket"])
        if held.account != expected:
            raise Denied("bucket", held.name, "it has another owner than expected")
        return await handler(engines, call)

    return run
