"""Where measurements happen: which cores, how long, and the load on a server with its CPU time taken."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import Load, press
from bench.results import Result, Target, from_load
from bench.servers import Place, Server

WARM_UP_S = 0.3


@dataclass(frozen=True)
class Stage:
    """one_core: where a server runs whose rate is measured. all_cores: where one runs that may use the whole machine.
    seconds: of each load. quick: fewer of everything; good for a look only."""

    one_core: Place
    all_cores: Place
    seconds: float
    quick: bool

    def times(self, many: int, few: int) -> int:
        return few if self.quick else many

    def load(
        self, server: Server, name: str, requests: Sequence[bytes], connections: int, targets: Sequence[Target] = ()
    ) -> Result:
        """Press a server and see what it costs it; a short load before warms it up."""
        api = server.api
        warm = press(api.host, api.port, requests, connections, min(WARM_UP_S, self.seconds))
        if not warm.good:
            return Result(name, connections, bad=warm.bad, note=_first(warm), targets=targets)
        before = server.cpu_s()
        load = press(api.host, api.port, requests, connections, self.seconds)
        result = from_load(name, connections, load, server.cpu_s() - before, targets)
        result.more["bytes_in"] = load.bytes_in
        return result


def _first(load: Load) -> str:
    return load.examples[0] if load.examples else "no answer"
