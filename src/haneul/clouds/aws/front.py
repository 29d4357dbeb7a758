"""AwsFace: the whole way of a request through AWS's face: identify, verify, parse, authorise, call, serialise."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from haneul.base import ids, limits
from haneul.base.config import Config
from haneul.base.env import Env
from haneul.base.errors import Damaged, Failure, TooLarge, Unavailable
from haneul.base.finished import Finished, Observer, Requested
from haneul.base.log import Log
from haneul.base.scope import Scope
from haneul.base.trace import Trace, new_trace
from haneul.clouds.aws import principals
from haneul.clouds.aws.auth import Auth, read_auth
from haneul.clouds.aws.authorise import Authoriser
from haneul.clouds.aws.call import AwsError, Call, Operation, Service
from haneul.clouds.aws.chunked import opened
from haneul.clouds.aws.errors import not_built, problem_of, unknown_operation
from haneul.clouds.aws.identify import Directory, Target
from haneul.clouds.aws.model import Library, ServiceModel
from haneul.clouds.aws.protocols import Codec, Decode, Encode, Wire
from haneul.clouds.aws.protocols.json import JsonCodec
from haneul.clouds.aws.protocols.locations import parse_query
from haneul.clouds.aws.protocols.query import QueryCodec
from haneul.clouds.aws.protocols.rest_json import RestJsonCodec
from haneul.clouds.aws.protocols.rest_xml import RestXmlCodec
from haneul.clouds.aws.protocols.rpc_cbor import RpcCborCodec
from haneul.clouds.aws.refusals import Refusal, worded
from haneul.clouds.aws.resource_policies import resource_policies
from haneul.clouds.aws.services import Services
from haneul.clouds.aws.signature import EMPTY_SHA256, Credentials, Proof, Verifier
from haneul.engines.identity.principal import Principal
from haneul.gateway.http import Body, FileSlice, Request, Response

if TYPE_CHECKING:
    from haneul.engines import Engines

_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
)
_CODECS: dict[str, Codec] = {
    "json-1.0": JsonCodec(b"1.0"),
    "json-1.1": JsonCodec(b"1.1"),
    "query": QueryCodec(),
    "rest-json": RestJsonCodec(),
    "rest-xml": RestXmlCodec(),
    "rpc-cbor": RpcCborCodec(),
}


class Asked(Protocol):
    """Decides whether a call may go on. Raises AwsError when it may not."""

    async def decide(self, call: Call, action: str, resource: str) -> object: ...


class Offer(Protocol):
    """The services on offer: see services.Services."""

    def names(self) -> list[str]: ...

    def get(self, name: str) -> Service | None: ...


class Plan(NamedTuple):
    """An operation, compiled for one protocol. tokens: idempotency tokens to fill in when they were left out."""

    service: Service
    model: ServiceModel
    name: str
    operation: Operation
    decode: Decode
    encode: Encode
    streams: bool
    tokens: tuple[str, ...]
    signed_as: tuple[str, ...]
    is_open: bool
    body_max_bytes: int


class AwsFace:
    """Answers AWS requests.

    authoriser  whom to ask before each operation; one over identities and resource policies unless given
    services    what is on offer; every module of the services folder unless given
    """

    def __init__(
        self,
        engines: "Engines",
        config: Config,
        env: Env,
        log: Log,
        observer: Observer,
        *,
        authoriser: Asked | None = None,
        services: Offer | None = None,
        library: Library | None = None,
    ) -> None:
        self._engines = engines
        self._config = config
        self._env = env
        self._log = log
        self._observer = observer
        self._authoriser: Asked = (
            authoriser
            if authoriser is not None
            else Authoriser(engines.identity, config, env, policies=resource_policies(engines))
        )
        self._services: Offer = services if services is not None else Services()
        self._library = library if library is not None else Library()
        self._directory = Directory(self._library, self._services.names(), config)
        self._credentials: Credentials = engines.identity
        self._verifier = Verifier(self._credentials, env)
        self._plans: dict[tuple[str, str, str], Plan] = {}

    async def handle(self, request: Request) -> Response:
        if request.method == "OPTIONS" and (allowed := self._preflight(request)) is not None:
            return allowed
        run = _Run(self._env, request)
        try:
            auth = read_auth(request)
            run.target = target = self._directory.identify(request, auth)
            self._recognise(auth)
            if target.protocol == "query":
                run.target = target = await self._read_form(run, auth, target)
            run.plan = plan = self._plan(target)
            principal, body = await self._admit(run, auth, plan)
            value = run.input = plan.decode(Wire(request, target.labels, body, run.form))
            for token in plan.tokens:
                if token not in value:
                    value[token] = ids.uuid(self._env)
            run.call = call = Call(
                scope=Scope(principal.account, target.region),
                operation=plan.name,
                input=value,
                principal=principal,
                request=request,
                request_id=run.request_id(plan.service.name),
                trace=_trace(request, self._env, run.started_s),
                body=body if isinstance(body, bytes) else b"",
            )
            operation = plan.operation
            run.resource = operation.resource(call)
            await self._authoriser.decide(call, operation.action, run.resource)
            output = await operation.handler(self._engines, call)
            response = plan.encode(output, call.request_id)
        except Exception as error:
            response = self._refuse(run, error)
        return self._finish(run, response)

    def _recognise(self, auth: Auth) -> None:
        """Refuse, before any body is read, credentials that cannot become good."""
        if auth.kind == "malformed":
            raise Refusal("bad_query" if auth.query is not None else "malformed", auth.problem)
        if self._config.secure and auth.kind != "none" and self._credentials.credential(auth.access_key) is None:
            raise Refusal("unknown_key", access_key=auth.access_key)

    def _body_limit(self, auth: Auth, most: int) -> int:
        """How much of a body is read, in bytes: little of one that nobody signed, in secure mode."""
        return min(most, limits.AWS_UNSIGNED_BODY_MAX_BYTES) if self._config.secure and auth.kind == "none" else most

    async def _read_form(self, run: "_Run", auth: Auth, target: Target) -> Target:
        """The operation of a query request, which only its form names."""
        request = run.request
        run.body = await request.body.read(self._body_limit(auth, limits.AWS_BODY_MAX_BYTES))
        form = parse_query(request.query.decode("latin-1")) if request.query else []
        try:
            form += parse_query(run.body.decode("latin-1").strip())
        except AwsError:
            run.form = []
            raise
        run.form = form
        fields = dict(form)
        operation = fields.get("Action", "")
        service = target.service or self._directory.query_service(fields.get("Version", ""), target.asked)
        if service == "sqs" and request.path != b"/" and "QueueUrl" not in fields:
            # Older clients post to the queue's own URL instead of naming it: SQS developer guide, "Making Query API requests".
            host = (request.header(b"host") or b"").decode("latin-1")
            form.append(("QueueUrl", f"{request.scheme}://{host}{request.path.decode('latin-1')}"))
        if not operation:
            run.target = target._replace(service=service)
            raise AwsError("MissingAction", "The request is missing an action or operation parameter.")
        return target._replace(service=service, operation=operation)

    def _plan(self, target: Target) -> Plan:
        key = (target.service, target.protocol, target.operation)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._compile(target)
        return plan

    def _compile(self, target: Target) -> Plan:
        """Raises AwsError for what is unknown to AWS, or not offered here."""
        name = target.service
        if not name:
            raise not_built(target.asked or "this service", target.operation)
        model = self._library.load(name)
        operation = model.operations.get(target.operation)
        if operation is None:
            raise unknown_operation(target.operation, model, target.protocol)
        service = self._services.get(name)
        offered = service.operations.get(operation.name) if service is not None else None
        if service is None or offered is None:
            raise not_built(name, operation.name)
        codec = _CODECS[target.protocol]
        members = model.input_members(operation)
        head = model.metadata
        return Plan(
            service,
            model,
            operation.name,
            offered,
            codec.decoder(model, operation),
            codec.encoder(model, operation),
            model.streams_in(operation),
            tuple(member for member, ref in members.items() if ref.idempotency_token),
            tuple({head.signed_as(): None, head.endpoint_prefix: None, name: None}),
            operation.authtype == "none",
            limits.AWS_CODE_BODY_MAX_BYTES if name == "lambda" else limits.AWS_BODY_MAX_BYTES,
        )

    async def _admit(self, run: "_Run", auth: Auth, plan: Plan) -> tuple[Principal, "bytes | Body"]:
        """Who calls, and the body that they may be believed to have sent. Raises Refusal, AwsError or TooLarge."""
        request = run.request
        if plan.streams or plan.service.name == "s3":
            principal, proof = self._who(request, auth, plan, None)
            if (
                request.body.length == 0
                and not plan.streams
                and request.index.get(b"x-amz-content-sha256") == EMPTY_SHA256
            ):
                return principal, b""
            body = opened(request, proof)
            return principal, body if plan.streams else await body.read(self._body_limit(auth, plan.body_max_bytes))
        if run.body is None:
            run.body = await request.body.read(self._body_limit(auth, plan.body_max_bytes))
        return self._who(request, auth, plan, run.body)[0], run.body

    def _who(self, request: Request, auth: Auth, plan: Plan, body: bytes | None) -> tuple[Principal, Proof | None]:
        if auth.kind == "none":
            if self._config.secure and plan.service.name != "s3" and not plan.is_open:
                raise Refusal("missing")
            return Principal(self._config.account, "anonymous"), None
        if self._config.secure:
            region = self._directory.host_region(request)
            return self._verifier.verify(request, auth, names=plan.signed_as, region=region, body=body)
        self._verifier.check_expiry(auth)
        known = self._credentials.credential(auth.access_key)
        if known is not None:
            return known.principal, None
        key = auth.access_key
        account = key if len(key) == 12 and key.isascii() and key.isdigit() else self._config.account
        return Principal(account, "root", access_key=key), None

    def _refuse(self, run: "_Run", error: Exception) -> Response:
        """The response for anything that went wrong; what was not expected is ours, and logged."""
        target, plan = run.target, run.plan
        protocol = target.protocol if target is not None else "rest-json"
        name = target.service if target is not None else ""
        model = self._library.load(name) if name else None
        service = plan.service if plan is not None else None
        if isinstance(error, Refusal):
            error = worded(error, _family(name, protocol))
        elif isinstance(error, TooLarge) and error.noun == "request body":
            error = AwsError("RequestEntityTooLargeException", f"The request body is too large: {error.reason}", 413)
        elif isinstance(error, Damaged | Unavailable) or not isinstance(error, AwsError | Failure):
            self._log.error(
                "request failed",
                service=name,
                operation=target.operation if target is not None else "",
                error=f"{type(error).__name__}: {error}",
                where=_where(error),
            )
        problem = problem_of(
            error,
            service=service,
            model=model,
            protocol=protocol,
            request_id=run.request_id(name),
            input=run.input or (dict(target.labels) if target is not None else {}),
        )
        run.error_code = problem.code
        return _CODECS[protocol].problem(model, problem)

    def _finish(self, run: "_Run", response: Response) -> Response:
        """Tell the observer, and let browsers read the answer in developer mode."""
        request, target, call = run.request, run.target, run.call
        if not self._config.secure and request.index.get(b"origin") is not None:
            response.headers = [*response.headers, *_CORS]
        body = response.body
        sent = len(body) if isinstance(body, bytes) else body.length if isinstance(body, FileSlice) else 0
        scope = call.scope if call is not None else Scope(self._config.account, target.region if target else "")
        trace = call.trace if call is not None else _trace(request, self._env, run.started_s)
        name = target.service if target is not None else ""
        self._observer.finished(
            Finished(
                scope,
                run.request_id(name),
                trace,
                run.started_s * 1000,
                int((self._env.monotonic() - run.clock_s) * 1_000_000),
                Requested(
                    name,
                    target.operation if target is not None else "",
                    response.status,
                    run.error_code,
                    principals.principal_arn(self._engines.identity, call.principal) if call is not None else "",
                    run.resource,
                    request.body.length or 0,
                    sent,
                ),
            )
        )
        return response

    def _preflight(self, request: Request) -> Response | None:
        """A browser asks whether a page may call us: in developer mode every page may."""
        method = request.header(b"access-control-request-method")
        if self._config.secure or method is None or request.header(b"origin") is None:
            return None
        asked = request.header(b"access-control-request-headers") or b"*"
        return Response(
            200,
            [
                (b"access-control-allow-origin", b"*"),
                (b"access-control-allow-methods", b"GET, HEAD, PUT, POST, DELETE, PATCH, OPTIONS"),
                (b"access-control-allow-headers", asked),
                (b"access-control-expose-headers", b"*"),
                (b"access-control-max-age", b"86400"),
            ],
        )


class _Run:
    """What is known of a request so far."""

    __slots__ = (
        "_id",
        "body",
        "call",
        "clock_s",
        "env",
        "error_code",
        "form",
        "input",
        "plan",
        "request",
        "resource",
        "started_s",
        "target",
    )

    def __init__(self, env: Env, request: Request) -> None:
        self.env = env
        self.request = request
        self.started_s = request.received or env.now()
        self.clock_s = env.monotonic()
        self.target: Target | None = None
        self.plan: Plan | None = None
        self.body: bytes | None = None
        self.form: list[tuple[str, str]] | None = None
        self.input: dict[str, Any] = {}
        self.call: Call | None = None
        self.resource = ""
        self.error_code = ""
        self._id = ""

    def request_id(self, service: str) -> str:
        """S3 names its requests by 16 capital letters and digits, everyone else by a UUID."""
        if not self._id:
            self._id = ids.letters(self.env, 16) if service == "s3" else ids.uuid(self.env)
        return self._id


def _family(service: str, protocol: str) -> str:
    """Whose words to refuse credentials in."""
    if service == "s3":
        return "s3"
    return "query" if protocol in ("query", "rest-xml") else "rest-json" if protocol == "rest-json" else "json"


def _trace(request: Request, env: Env, now_s: float) -> Trace:
    """The trace that the client says it is in, or one that begins here."""
    header = request.index.get(b"x-amzn-trace-id")
    if header is None:
        return new_trace(env, now_s)
    parts = dict(part.strip().partition(b"=")[::2] for part in header.split(b";"))
    root = parts.get(b"Root", b"").decode("latin-1").split("-")
    trace_id = "".join(root[1:]).lower()
    if len(root) != 3 or len(root[1]) != 8 or len(root[2]) != 24 or not _is_hex(trace_id):
        return new_trace(env, now_s)
    parent = parts.get(b"Parent", b"").decode("latin-1").lower()
    known = parent if len(parent) == 16 and _is_hex(parent) else ""
    hops = parts.get(b"Lineage", b"").partition(b":")[0]
    depth = int(hops) if hops.isdigit() and len(hops) <= 4 else 0
    return Trace(trace_id, env.token(8).hex(), known, parts.get(b"Sampled", b"1") != b"0", depth)


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)


def _where(error: Exception) -> str:
    """The place in our code that raised, as file:line, for the log."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename.rpartition('/')[2]}:{frame.tb_lineno}" if frame is not None else ""
