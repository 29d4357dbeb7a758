"""What the admin interface answers: health, status, runs, traces, logs, cost, reset."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from haneul import __version__
from haneul.base.config import Config
from haneul.base.env import Env
from haneul.base.errors import Invalid
from haneul.base.scope import Scope
from haneul.clouds.aws.services import Services
from haneul.engines import Engines
from haneul.gateway.http import Response
from haneul.sandbox.api import Sandbox

from .admin import Answer

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LIMIT_MAX = 10_000


class Subject(Protocol):
    """The cloud that is asked about; app.py's Cloud is one."""

    config: Config
    env: Env
    sandbox: Sandbox
    url: str

    @property
    def engines(self) -> Engines: ...

    async def reset(self, account: str | None) -> None: ...


def make_answers(cloud: Subject) -> Mapping[tuple[str, str], Answer]:
    """The table of the interface: (method, path) -> answer."""
    answers = Answers(cloud)
    return {
        ("GET", "/_haneul/health"): answers.health,
        ("GET", "/_localstack/health"): answers.health,
        ("GET", "/_haneul/status"): answers.status,
        ("GET", "/_haneul/runs"): answers.runs,
        ("GET", "/_haneul/traces"): answers.traces,
        ("GET", "/_haneul/traces/"): answers.trace,
        ("GET", "/_haneul/logs"): answers.logs,
        ("GET", "/_haneul/cost"): answers.cost,
        ("GET", "/_haneul/code/"): answers.code,
        ("POST", "/_haneul/reset"): answers.reset,
        ("POST", "/_localstack/state/reset"): answers.reset,
        ("POST", "/moto-api/reset"): answers.reset,
    }


class Answers:
    """Each method takes the query's parameters and gives what JSON can say."""

    def __init__(self, cloud: Subject) -> None:
        self._cloud = cloud

    async def health(self, query: dict[str, str]) -> Any:
        # The form in which tools made for other local clouds look for readiness.
        return {"status": "running", "version": __version__, "services": dict.fromkeys(Services().names(), "available")}

    async def status(self, query: dict[str, str]) -> Any:
        cloud = self._cloud
        known = cloud.sandbox.capabilities
        return {
            "url": cloud.url,
            "version": __version__,
            "mode": "secure" if cloud.config.secure else "developer",
            "state": "memory" if cloud.config.ephemeral else str(cloud.config.data_dir.absolute()),
            "sandbox": {
                "tier": known.tier,
                "cgroups": known.cgroups,
                "snapshots": known.snapshots,
                "reasons": known.reasons,
            },
            "runtimes": sorted(known.runtimes),
            "environments": cloud.engines.functions.environments,
            "deliveries waiting": await cloud.engines.delivery.pending(),
        }

    async def runs(self, query: dict[str, str]) -> Any:
        return await self._cloud.engines.traces.runs(
            self._scope(query), query.get("function", ""), limit=_limit(query, 100)
        )

    async def traces(self, query: dict[str, str]) -> Any:
        return await self._cloud.engines.traces.latest(self._scope(query), limit=_limit(query, 20))

    async def trace(self, query: dict[str, str]) -> Any:
        return await self._cloud.engines.traces.waterfall(self._scope(query), query["name"])

    async def logs(self, query: dict[str, str]) -> Any:
        return await self._cloud.engines.logs.last(
            self._scope(query), query.get("group", ""), limit=_limit(query, 100), after=query.get("after", "")
        )

    async def cost(self, query: dict[str, str]) -> Any:
        now_ms = self._cloud.env.now_ms()
        return await self._cloud.engines.billing.cost(
            self._scope(query), since_ms(query.get("since", "30d"), now_ms), now_ms
        )

    async def code(self, query: dict[str, str]) -> Any:
        """A deployment package, for whoever holds the token that GetFunction gave out."""
        chunks, size_bytes = await self._cloud.engines.functions.packages.download(query["name"])
        headers = [(b"content-type", b"application/zip"), (b"content-length", b"%d" % size_bytes)]
        return Response(200, headers, chunks)

    async def reset(self, query: dict[str, str]) -> Any:
        await self._cloud.reset(query.get("account"))
        return {"status": "reset"}

    def _scope(self, query: dict[str, str]) -> Scope:
        config = self._cloud.config
        return Scope(query.get("account") or config.account, query.get("region") or config.region)


def since_ms(text: str, now_ms: int) -> int:
    """Epoch milliseconds of "15m" ago (also s, h, d), or of an ISO date or time, local unless it says. Raises Invalid."""
    number, unit = text[:-1], text[-1:]
    if unit in UNITS_S and number.isascii() and number.isdigit() and len(number) <= 6:
        return now_ms - int(number) * UNITS_S[unit] * 1000
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise Invalid("since", text, "15m, 2h, 7d, or a date or time such as 2026-11-01 is meant") from error


def _limit(query: dict[str, str], default: int) -> int:
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 1 <= int(text) <= LIMIT_MAX:
        raise Invalid("limit", text, f"a number from 1 to {LIMIT_MAX}")
    return int(text)
