"""A process that writes events beside their causes and delivers them, until it is killed. Run by test_delivery_crash."""

import asyncio
import os
import sys
from pathlib import Path

from haneul.base.env import RealEnv
from haneul.base.finished import Finished, Logged
from haneul.base.log import SilentLog
from haneul.base.scope import Scope
from haneul.base.trace import new_trace
from haneul.engines.delivery.engine import DeliveryEngine
from haneul.engines.delivery.verdict import Done, Retry, Verdict
from haneul.storage.outbox import OUTBOX, Delivery, Target, enqueue
from haneul.storage.sqlite import open_store
from haneul.storage.store import Schema, Store

SCHEMA = Schema("events", 1, (OUTBOX,))
HERE = Scope("000000000000", "us-east-1")
WRITERS = 8


class Nobody:
    def finished(self, record: Finished) -> None: ...

    def logged(self, record: Logged) -> None: ...


def say(*words: object) -> None:
    """One write to the pipe: it is in the reader's hands even when this process is killed right after."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def write(store: Store, env: RealEnv, run: str, writer: int) -> None:
    number = 0
    while True:
        number += 1
        id = f"{run}-{writer}-{number}"
        now_ms = env.now_ms()
        target = Target("function", HERE, f"f{number % 3}")
        row = Delivery(id, target, "tests", "raw", id.encode(), now_ms, now_ms + number % 2 * 30, new_trace(env))
        await store.transact(lambda txn, row=row: enqueue(txn, row))
        say("sent", id)


async def main(directory: Path, run: str, seconds: float) -> None:
    """With seconds 0: deliver what is left, write nothing, end when the outbox is empty."""
    env = RealEnv()
    store = open_store(SCHEMA, directory, env, SilentLog())

    async def take(row: Delivery, payload: bytes) -> Verdict:
        if row.attempt == 0 and row.id.endswith("7"):
            return Retry(20, "not at first")
        await env.sleep(0.002)
        say("took", payload.decode())
        return Done()

    engine = DeliveryEngine(env, SilentLog(), [store], {}, {"function": take}, Nobody())
    await engine.start()
    say("ready")
    if seconds:
        await asyncio.gather(*[write(store, env, run, writer) for writer in range(WRITERS)])
    while await engine.pending():
        await engine.idle()
        await env.sleep(0.01)
    await engine.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
