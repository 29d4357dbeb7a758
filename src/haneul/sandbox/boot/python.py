"""The Python runtime loop: imports a handler and runs it, one event at a time, over one stream socket.

Runs inside the sandbox under any Python >= 3.9, alone in its file: no import from haneul, the standard library only, and
little of that, because every import here is part of every cold start. It is run as `python -I -S python.py FD`, or
loaded by path in a zygote, whose forked children call serve(fd). The format of the frames is that of sandbox/frames.py.

What the handler sees (messages, error documents, log lines, sys.path) follows AWS Lambda's own Python runtime; the facts
are those of its published source, aws/aws-lambda-python-runtime-interface-client.

The init frame's members: handler, environment (complete), code_root ("/var/task"), layer_roots (["/opt"]),
runtime_root ("/var/runtime": the packages that the platform provides), and, to save the path search and the compiler,
files ({module: [path, base64 of its marshalled code]}) with magic (the bytecode's magic number in hexadecimal).
The context in an event's meta: invoked_function_arn, tenant_id, and as JSON text client_context, cognito_identity.
"""

from __future__ import annotations

import atexit
import binascii
import json
import marshal
import os
import sys
import time
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER
from io import TextIOWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone would cost a third of the loop's own start
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, NoReturn

_INIT, _EVENT = b"IE"
_READY, _FAILED, _OK, _NO = b"R", b"F", b"O", b"N"
_BUFFER_BYTES = 64 * 1024
_LINE_BREAK = "\x1e"  # stands for a line break inside one log event; the supervisor turns it back
_NO_BREAK_SPACE = "\u00a0"
_FACTS = {
    **{name: name.upper() for name in ("log_group_name", "log_stream_name", "function_name", "function_version")},
    "memory_limit_in_mb": "FUNCTION_MEMORY_SIZE",
}
_late = __import__  # for what only a function that fails or logs needs


def serve(fd: int) -> NoReturn:
    """Take the init frame from fd, then events, until told to leave; ends the process as Python would end."""
    status = 0
    try:
        runtime = load(Channel(fd))
        status = 1 if runtime is None else run(runtime)
    except SystemExit as leaving:
        status = _exit_status(leaving.code)
    except BaseException:
        _late("traceback").print_exc()
        status = 1
    leave(status)


def load(channel: Channel) -> Runtime | None:
    """Take the init frame, import the handler, and say that it is ready; None when it failed, which was said too."""
    kind, body = channel.receive()
    if kind != _INIT:
        return None
    init = json.loads(str(body, "utf-8"))
    _set_environment(init["environment"])
    runtime = Runtime(channel)
    runtime.facts = _facts()
    _set_path(init)
    _set_logging(runtime)
    try:
        runtime.handler = _find_handler(init["handler"])
    except Exception as error:
        document = _error_document(error, "")
        runtime.log_error(document)
        runtime.flush()
        channel.send(_FAILED, runtime.encode(document, errors="backslashreplace"))
        return None
    runtime.flush()
    channel.send(_READY, b"")
    return runtime


def run(runtime: Runtime) -> int:
    """Answer events until the supervisor says to leave, or is gone: status 0. A later init frame only renews the environment."""
    channel = runtime.channel
    own_pid = os.getpid()
    while True:
        kind, body = channel.receive()
        if kind == _EVENT:
            reply, answer = _answer(runtime, body)
            if os.getpid() != own_pid:
                os._exit(0)  # a child that the handler forked came back here: the answer is not its to give
            runtime.flush()
            channel.send(reply, answer)
            channel.shrink()
        elif kind == _INIT:
            _set_environment(json.loads(str(body, "utf-8"))["environment"])
            runtime.facts = _facts()
            channel.send(_READY, b"")
        else:
            return 0


def leave(status: int) -> NoReturn:
    """End this process at once, having run what the program registered for its exit."""
    try:
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                status = status or 120  # Python's own status for output that could not be flushed
        os._exit(status)


class Channel:
    """Frames over a blocking stream socket. A received body is a view that holds until the next receive."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self.fd = fd
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._have = 0  # bytes read into the buffer
        self._used = 0  # bytes of the frame handed out last

    def receive(self) -> tuple[int, memoryview]:
        """The next frame's kind and body; kind 0 when the other side is gone."""
        if self._have > self._used:
            rest = bytes(self._buffer[self._used : self._have])
            self._buffer[: len(rest)] = rest
        self._have -= self._used
        self._used = 0
        if not self._fill(5):
            return 0, self._buffer[:0]
        size = int.from_bytes(self._buffer[:4], "big") + 4
        if size > len(self._buffer):
            larger = memoryview(bytearray(size))
            larger[: self._have] = self._buffer[: self._have]
            self._buffer = larger
        if not self._fill(size):
            return 0, self._buffer[:0]
        self._used = size
        return self._buffer[4], self._buffer[5:size]

    def send(self, kind: bytes, body: bytes) -> None:
        """One frame, whole."""
        head = (len(body) + 1).to_bytes(4, "big") + kind
        if len(body) < _BUFFER_BYTES:
            rest = memoryview(head + body)
            sent = os.write(self.fd, rest)
        else:
            sent = os.writev(self.fd, [head, body])
            rest = memoryview(head + body if sent < len(head) else body)
            sent -= 0 if sent < len(head) else len(head)
        while sent < len(rest):
            sent += os.write(self.fd, rest[sent:])

    def shrink(self) -> None:
        """Give the memory of a large frame back."""
        if len(self._buffer) > _BUFFER_BYTES and self._have == self._used:
            self._buffer = memoryview(bytearray(_BUFFER_BYTES))
            self._have = self._used = 0

    def _fill(self, want: int) -> bool:
        while self._have < want:
            got = os.readv(self.fd, [self._buffer[self._have :]])
            if not got:
                return False
            self._have += got
        return True


class Runtime:
    """What lives as long as the process: the handler, the channel, the log, and which request is being answered."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.handler: Callable[[Any, Any], Any] | None = None
        self.request_id = ""
        self.trace = ""
        self.facts: dict[str, str | None] = {}  # os.environ takes a microsecond for each variable: too slow per event
        self.tenant_id: str | None = None
        self.json_logs = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
        flavour = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
        # The runtimes up to python3.11 answer in ASCII with escapes; the later ones in UTF-8.
        self._ascii = (int(flavour) if flavour.isdigit() else sys.version_info[1]) < 12
        self._encoder = _Encoder(ascii_only=self._ascii)
        self._out = sys.stdout = sys.__stdout__ = _line_stream(1)  # type: ignore[misc]
        self._err = sys.stderr = sys.__stderr__ = _line_stream(2)  # type: ignore[misc]

    def flush(self) -> None:
        """Everything printed so far is in the pipe afterwards."""
        for stream in (self._out, self._err, sys.stdout):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                continue  # the handler closed or replaced it: its own affair

    def encode(self, value: Any, errors: str = "strict") -> bytes:
        """JSON as the Lambda runtime writes it. Raises TypeError, ValueError or RecursionError for what has none."""
        encoder = self._encoder
        encoder.numbers.clear()
        text = encoder.encode(value)
        return (encoder.finish(text) if encoder.numbers else text).encode("utf-8", errors)

    def log(self, text: str) -> None:
        """One log event, which may be several lines long."""
        text = text[:-1] if text.endswith("\n") else text
        try:
            self._out.write(text.replace("\n", _LINE_BREAK) + "\n")
        except (OSError, ValueError):
            return  # the handler closed it: its own affair

    def log_error(self, document: dict[str, Any]) -> None:
        """The error document as a log event, in the function's log format."""
        if self.json_logs:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.log(json.dumps({"timestamp": stamp, "level": "ERROR", **document}, ensure_ascii=self._ascii))
            return
        lines = ["[ERROR] " + ": ".join(filter(None, (document["errorType"], document["errorMessage"])))]
        lines.append("Traceback (most recent call last):")
        for element in document["stackTrace"]:
            for line in element.splitlines():
                bare = line.lstrip(" ")
                lines.append(_NO_BREAK_SPACE * (len(line) - len(bare)) + bare)
        self.log("\n".join(lines))


class Fault(Exception):
    """A failure in the runtime's own words: its error type, message, and stack trace lines."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace or []


class _Record:
    """A fixed set of attributes, all None unless given."""

    _members: tuple[str, ...] = ()

    def __init__(self, *values: Any) -> None:
        self.__dict__.update(dict.fromkeys(self._members), **dict(zip(self._members, values)))  # noqa: B905  # needs 3.10

    def __repr__(self) -> str:
        shown = ",".join(f"{name}={getattr(self, name)}" for name in self._members)
        return f"{type(self).__name__}([{shown}])"


class CognitoIdentity(_Record):
    """Who called, when it was through a Cognito identity pool."""

    _members = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Record):
    """The mobile application of a client context."""

    _members = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Record):
    """What the caller sent as ClientContext."""

    _members = ("custom", "env", "client")


class LambdaContext(_Record):
    """The second argument of a handler: the members and texts of the Lambda runtime's context object."""

    _members = (
        *("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb"),
        *("function_version", "invoked_function_arn", "client_context", "identity", "tenant_id"),
    )

    def __init__(self, runtime: Runtime, meta: dict[str, Any]) -> None:
        context = meta["context"]
        self.__dict__.update(runtime.facts)
        self.aws_request_id = meta["request_id"]
        self.invoked_function_arn = context.get("invoked_function_arn")
        self.tenant_id = context.get("tenant_id")
        self.client_context = _client_context(_context_json(context, "client_context", "Client Context"))
        identity = _context_json(context, "cognito_identity", "Cognito Identity") or {}
        self.identity = CognitoIdentity(identity.get("cognitoIdentityId"), identity.get("cognitoIdentityPoolId"))
        self._epoch_deadline_time_in_ms = meta["deadline_ms"]
        self._log = runtime.log

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation times out, never below 0."""
        return max(int(self._epoch_deadline_time_in_ms) - int(time.time() * 1000), 0)

    def log(self, msg: object) -> None:
        """Write a line to the function's log."""
        self._log(str(msg))


class _Encoder(json.JSONEncoder):
    """JSON with Decimals as numbers, to their last digit, and bytes as text."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(ensure_ascii=ascii_only, allow_nan=False)
        self.numbers: list[str] = []
        self._mark = ""

    def default(self, o: Any) -> Any:
        if isinstance(o, bytes):
            return o.decode()
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(o, decimal.Decimal):
            return super().default(o)
        if not o.is_finite():
            return float(o)  # which allow_nan=False then refuses
        # The C encoder cannot be handed a number's text: a string that nobody can guess stands for it until the end.
        self._mark = self._mark or os.urandom(16).hex()
        self.numbers.append(str(o))
        return f"{self._mark}{len(self.numbers) - 1}"

    def finish(self, text: str) -> str:
        """The encoded text with each Decimal in its place."""
        numbers = self.numbers
        return str(_late("re").sub(f'"{self._mark}(\\d+)"', lambda found: numbers[int(found[1])], text))


def _answer(runtime: Runtime, body: memoryview) -> tuple[bytes, bytes]:
    """Run the handler on an event; the kind and body of the reply."""
    head = int.from_bytes(body[:4], "big") + 4
    meta = json.loads(str(body[4:head], "utf-8"))
    request_id = runtime.request_id = meta["request_id"]
    if runtime.trace != meta["trace_header"]:
        runtime.trace = meta["trace_header"]
        _set_trace(runtime.trace)
    try:
        context = LambdaContext(runtime, meta)
        runtime.tenant_id = context.tenant_id
        event = _decode(body[head:])
        del body
        result = runtime.handler(event, context)  # type: ignore[misc]
        return _OK, _marshal(runtime, result)
    except Exception as error:
        document = _error_document(error, request_id)
        runtime.log_error(document)
        return _NO, runtime.encode(document, errors="backslashreplace")


def _decode(payload: memoryview) -> Any:
    try:
        return _read_json(str(payload, "utf-8"))
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


_read_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _marshal(runtime: Runtime, result: Any) -> bytes:
    if isinstance(result, bytes):
        return result
    try:
        return runtime.encode(result)
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def _error_document(error: Exception, request_id: str) -> dict[str, Any]:
    if isinstance(error, Fault):
        kind, message, trace = error.kind, error.message, error.trace
    else:
        kind, trace = type(error).__name__, _trace_of(error)
        try:
            message = str(error)
        except Exception as second:
            message = f"<unprintable {kind} object: {type(second).__name__}>"
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def _trace_of(error: Exception) -> list[str]:
    """The traceback's lines from the first frame of the function's own code on."""
    traceback = _late("traceback")
    frames = [(at.filename, at.lineno, at.name, at.line) for at in traceback.extract_tb(error.__traceback__)]
    machinery = (__file__, "<frozen importlib")
    own = next((i for i, frame in enumerate(frames) if not frame[0].startswith(machinery)), len(frames))
    return list(traceback.format_list(frames[own:]))


def _set_trace(header: str) -> None:
    if header:
        os.environ["_X_AMZN_TRACE_ID"] = header
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def _facts() -> dict[str, str | None]:
    """The members of every context that the environment gives."""
    return {name: os.environ.get(f"AWS_LAMBDA_{variable}") for name, variable in _FACTS.items()}


def _context_json(context: dict[str, str], member: str, label: str) -> dict[str, Any] | None:
    text = context.get(member)
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {label} JSON: {error}") from None
    return value if isinstance(value, dict) else {}


def _client_context(sent: dict[str, Any] | None) -> ClientContext | None:
    if sent is None:
        return None
    client = sent.get("client")
    fields = [client.get(name) for name in Client._members] if isinstance(client, dict) else None
    return ClientContext(sent.get("custom"), sent.get("env"), Client(*fields) if fields is not None else None)


def _set_environment(wanted: dict[str, str]) -> None:
    """Make the environment exactly what is wanted; putenv is slow, so only what differs is touched."""
    environment = os.environ
    for name in [name for name in environment if name not in wanted]:
        del environment[name]
    for name, value in wanted.items():
        if environment.get(name) != value:
            environment[name] = value
            if name == "TZ":
                time.tzset()


def _set_path(init: dict[str, Any]) -> None:
    """sys.path as in Lambda: the code, the layers, PYTHONPATH, what the platform provides, the standard library."""
    root = init.get("code_root", "/var/task")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    ours = [root]
    for layer in reversed(init.get("layer_roots", ("/opt",))):
        ours += (f"{layer}/python/lib/{version}/site-packages", f"{layer}/python")
    ours += filter(None, os.environ.get("PYTHONPATH", "").split(":"))
    ours.append(init.get("runtime_root", "/var/runtime"))
    sys.path[:] = ours + [entry for entry in sys.path if entry not in ours]
    for entry in ours:
        sys.path_importer_cache.pop(entry, None)  # a zygote may have seen it missing
    os.chdir(root)
    if init.get("files") and init.get("magic") == MAGIC_NUMBER.hex():
        sys.meta_path.insert(0, _Shipped(init["files"]))


class _Shipped:
    """Finds and loads modules whose code came with the init frame."""

    def __init__(self, files: dict[str, tuple[str, str]]) -> None:
        self._files = files

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in self._files:
            return None
        spec = ModuleSpec(name, self, origin=self._files[name][0])  # type: ignore[arg-type]
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> None: ...

    def exec_module(self, module: ModuleType) -> None:
        exec(marshal.loads(binascii.a2b_base64(self._files[module.__name__][1])), module.__dict__)


def _find_handler(name: str) -> Callable[[Any, Any], Any]:
    """Import the module of "module.function". Raises Fault in Lambda's words, or what the module itself raised."""
    try:
        module_name, function = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {error}") from None
    dotted = module_name.replace("/", ".")
    try:
        if dotted.split(".")[0] in sys.builtin_module_names:
            raise Fault(
                "Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module"
            )
        __import__(dotted)
        module = sys.modules[dotted]
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", trace) from None
    try:
        return getattr(module, function)  # type: ignore[no-any-return]
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module_name}'") from None


def _set_logging(runtime: Runtime) -> None:
    """Have the root logger write as in Lambda: now if logging is imported already, else as soon as it is."""
    logging = sys.modules.get("logging")
    if logging is not None:
        _configure_logging(logging, runtime)
    else:
        sys.meta_path.insert(0, _OnLogging(runtime))


class _OnLogging:
    """Waits on sys.meta_path for the first import of logging: importing it ourselves would cost 5 ms of cold start."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        found = (finder.find_spec(name, None, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _configure_logging(module, self._runtime)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _configure_logging(logging: Any, runtime: Runtime) -> None:
    """The root handler of the Lambda runtime: tab-separated text, or JSON, with the request's id; times in UTC."""

    class LambdaLoggerHandler(logging.Handler):  # type: ignore[misc]
        def emit(self, record: Any) -> None:
            runtime.log(self.format(record))

    class LambdaLoggerFilter(logging.Filter):  # type: ignore[misc]
        def filter(self, record: Any) -> bool:
            record.aws_request_id = runtime.request_id
            record.tenant_id = runtime.tenant_id
            return True

    class JsonFormatter(logging.Formatter):  # type: ignore[misc]
        def format(self, record: Any) -> str:
            return _json_record(logging, record)

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    text = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
    handler.setFormatter(JsonFormatter() if runtime.json_logs else logging.Formatter(text, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level)
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)
    root.addHandler(handler)


def _json_record(logging: Any, record: Any) -> str:
    """A log record as one JSON object: Lambda's members first, then what was passed as extra."""
    level = min(50, max(0, record.levelno)) // 10 * 10
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    failed = record.exc_info if record.exc_info and record.exc_info[0] else None
    document = {
        "timestamp": f"{seconds}.{int(record.created % 1 * 1000):03d}Z",
        "level": logging.getLevelName(level),
        "message": record.getMessage(),
        "logger": record.name,
        "stackTrace": _late("traceback").format_tb(failed[2]) if failed else None,
        "errorType": failed[0].__name__ if failed else None,
        "errorMessage": str(failed[1]) if failed else None,
        "requestId": record.aws_request_id,
        "location": f"{record.pathname}:{record.funcName}:{record.lineno}" if failed else None,
        "tenantId": record.tenant_id,
    }
    known = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
    for name, value in record.__dict__.items():
        if name not in known and name not in document and name not in ("aws_request_id", "tenant_id"):
            document[name] = value
    return json.dumps({name: value for name, value in document.items() if value is not None}, ensure_ascii=False)


def _line_stream(fd: int) -> TextIOWrapper:
    """A text stream that hands each complete line to the log pipe at once."""
    return TextIOWrapper(open(fd, "wb", closefd=False), "utf-8", "backslashreplace", "\n", line_buffering=True)


def _exit_status(code: object) -> int:
    """What sys.exit(code) means to the parent, with its message printed."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    serve(int(sys.argv[1]))
