"""The typed record of all engines: the only engine module that imports its siblings."""

from dataclasses import dataclass

from .billing.engine import BillingEngine
from .delivery.engine import DeliveryEngine
from .functions.engine import FunctionsEngine
from .identity.engine import IdentityEngine
from .logs.engine import LogsEngine
from .metrics.engine import MetricsEngine
from .objects.engine import ObjectsEngine
from .traces.engine import TracesEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Made once by app.py, handed to every operation."""

    functions: FunctionsEngine
    objects: ObjectsEngine
    identity: IdentityEngine
    delivery: DeliveryEngine
    logs: LogsEngine
    metrics: MetricsEngine
    traces: TracesEngine
    billing: BillingEngine
