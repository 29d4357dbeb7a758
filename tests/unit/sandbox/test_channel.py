"""The supervisor's end, against code that behaves, fails, lies and floods; processes are played by the test."""

import json
import os
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from haneul.base import limits
from haneul.base.env import ManualEnv
from haneul.sandbox.api import Invocation, Outcome
from haneul.sandbox.channel import Ended, LiveInstance


class FakeProcesses:
    def __init__(self) -> None:
        self.ended = Ended(reason="signal: killed", peak_memory_mb=9)
        self.ends = 0
        self.frozen = False

    def peak_memory_mb(self) -> int:
        return 7

    async def freeze(self) -> None:
        self.frozen = True

    async def thaw(self) -> None:
        self.frozen = False

    async def end(self) -> Ended:
        self.ends += 1
        return self.ended


class Inside:
    """The instance under test, and the ends that code inside a sandbox holds."""

    def __init__(self) -> None:
        self.env = ManualEnv()
        self.processes = FakeProcesses()
        self.lines: list[bytes] = []
        ours, self.channel = socket.socketpair()
        self.channel.setblocking(False)
        log_fd, self.log = os.pipe()
        os.set_blocking(self.log, False)
        self.instance = LiveInstance(
            id="one",
            start_path="exec",
            env=self.env,
            channel=ours,
            log_fd=log_fd,
            on_log=self.lines.extend,
            processes=self.processes,
            requested=self.env.monotonic(),
        )

    def send(self, kind: bytes, body: bytes = b"") -> None:
        self.channel.send(struct.pack(">I", len(body) + 1) + kind + body)

    async def ask(self, payload: bytes = b"{}", timeout_s: float = 3.0) -> "Asked":
        invocation = Invocation(
            request_id="r", payload=payload, deadline_ms=5, timeout_s=timeout_s, trace_header="t", context={"a": "b"}
        )
        asked = Asked(self, invocation)
        await self.env.settle(3)
        return asked

    async def close(self) -> None:
        self.channel.close()
        os.close(self.log)
        await self.instance.stop()


class Asked:
    def __init__(self, inside: Inside, invocation: Invocation) -> None:
        self.inside = inside
        self.task = inside.env.spawn(inside.instance.run(invocation), name="run")

    async def outcome(self) -> Outcome:
        return await self.task


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    one = Inside()
    yield one
    await one.close()


async def test_an_event_carries_meta_and_payload_and_the_answer_comes_back(inside: Inside) -> None:
    asked = await inside.ask(b'{"x":1}')
    frame = inside.channel.recv(65_536)
    size, kind, meta_size = struct.unpack(">IcI", frame[:9])

    inside.send(b"O", b'"done"')

    assert (size, kind) == (len(frame) - 4, b"E")
    assert json.loads(frame[9 : 9 + meta_size]) == {
        "request_id": "r",
        "deadline_ms": 5,
        "trace_header": "t",
        "context": {"a": "b"},
    }
    assert frame[9 + meta_size :] == b'{"x":1}'
    assert await asked.outcome() == Outcome(kind="ok", payload=b'"done"', peak_memory_mb=7)
    assert inside.instance.alive


async def test_an_error_document_is_an_error_and_the_instance_lives_on(inside: Inside) -> None:
    asked = await inside.ask()
    inside.send(b"N", b"{}")

    assert (await asked.outcome()).kind == "error"
    assert inside.instance.alive


async def test_a_start_is_ready_or_says_why_not(inside: Inside) -> None:
    inside.send(b"R")
    started = inside.env.spawn(inside.instance.start(b"{}", 10.0), name="start")
    await inside.env.settle(3)

    assert await started is None
    assert inside.channel.recv(100) == b"\0\0\0\x03I{}"


async def test_a_failed_start_ends_the_processes_before_it_is_told(inside: Inside) -> None:
    started = inside.env.spawn(inside.instance.start(b"{}", 10.0), name="start")
    await inside.env.settle(3)
    inside.send(b"F", b'{"errorType":"X"}')

    outcome = await started

    assert outcome is not None
    assert (outcome.kind, outcome.payload) == ("init_error", b'{"errorType":"X"}')
    assert (inside.processes.ends, inside.instance.alive) == (1, False)


async def test_lines_written_before_the_answer_are_handed_over_before_it(inside: Inside) -> None:
    asked = await inside.ask()
    os.write(inside.log, b"one\n\ntwo\x1ethree\nno end")
    inside.send(b"O", b"1")

    await asked.outcome()

    assert inside.lines == [b"one", b"", b"two\nthree", b"no end"]


async def test_a_line_is_kept_together_until_its_end_arrives(inside: Inside) -> None:
    os.write(inside.log, b"half ")
    await inside.env.settle(5)
    os.write(inside.log, b"whole\n")
    await inside.env.settle(5)

    assert inside.lines == [b"half whole"]


async def test_an_endless_line_is_cut_into_pieces(inside: Inside) -> None:
    written = 0
    while written < limits.LOG_LINE_MAX_BYTES + 1_000:
        written += os.write(inside.log, b"x" * 10_000)
        await inside.env.settle(3)
    asked = await inside.ask()
    inside.send(b"O", b"1")

    await asked.outcome()

    assert sum(map(len, inside.lines)) == written
    assert max(map(len, inside.lines)) <= limits.LOG_LINE_MAX_BYTES


async def test_a_timeout_kills_everything_inside(inside: Inside) -> None:
    asked = await inside.ask(timeout_s=3.0)
    os.write(inside.log, b"last words\n")

    await inside.env.advance(2.9)
    before = asked.task.done()
    await inside.env.advance(0.2)

    outcome = await asked.outcome()
    assert not before
    assert (outcome.kind, outcome.duration_us) == ("timeout", 3_000_000)
    assert (inside.processes.ends, inside.instance.alive, inside.lines) == (1, False, [b"last words"])


async def test_an_answer_in_time_leaves_no_timer_behind(inside: Inside) -> None:
    asked = await inside.ask(timeout_s=3.0)
    inside.send(b"O", b"1")
    await asked.outcome()

    await inside.env.advance(10)

    assert inside.instance.alive


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        (Ended(reason="exit status 1"), "crash"),
        (Ended(reason="signal: killed", out_of_memory=True), "out_of_memory"),
    ],
)
async def test_a_process_that_ends_says_how(inside: Inside, ended: Ended, kind: str) -> None:
    inside.processes.ended = ended
    asked = await inside.ask()
    inside.channel.close()

    outcome = await asked.outcome()

    assert (outcome.kind, outcome.reason) == (kind, ended.reason)
    assert not inside.instance.alive


async def test_a_process_that_ends_while_idle_is_noticed(inside: Inside) -> None:
    inside.channel.close()
    await inside.env.settle(5)

    assert not inside.instance.alive
    assert (
        await inside.instance.run(Invocation(request_id="r", payload=b"", deadline_ms=1, timeout_s=1))
    ).kind == "crash"


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\0\0\0",  # no kind
        b"\0\0\0\0O",
        b"\0\0\0\x01R",  # not asked for now
        b"\0\0\0\x01Z",
        b"\0\0\0\x01\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\xff\xff\xff\xffZ",
    ],
)
async def test_a_malformed_answer_costs_the_instance_its_life(inside: Inside, sent: bytes) -> None:
    asked = await inside.ask()
    inside.channel.send(sent + (b"" if len(sent) > 4 else b"O"))

    outcome = await asked.outcome()

    assert (outcome.kind, inside.processes.ends, inside.instance.alive) == ("crash", 1, False)


async def test_an_answer_that_nobody_asked_for_costs_the_instance_its_life(inside: Inside) -> None:
    inside.send(b"O", b"1")
    await inside.env.settle(5)

    assert (inside.processes.ends, inside.instance.alive) == (1, False)


async def test_a_second_answer_costs_the_instance_its_life_but_not_the_first(inside: Inside) -> None:
    asked = await inside.ask()
    inside.channel.send(b"\0\0\0\x02O1\0\0\0\x02O2")

    assert (await asked.outcome()).payload == b"1"
    assert not inside.instance.alive


async def test_an_answer_in_single_bytes_is_put_together(inside: Inside) -> None:
    asked = await inside.ask()
    for byte in b"\0\0\0\x04O123":
        inside.channel.send(bytes((byte,)))
        await inside.env.settle(2)

    assert (await asked.outcome()).payload == b"123"


@pytest.mark.parametrize("extra", [-1, 0, 1, 3_000_000])
async def test_an_answer_above_the_limit_is_counted_and_not_kept(inside: Inside, extra: int) -> None:
    size = limits.PAYLOAD_SYNC_MAX_BYTES + extra
    asked = await inside.ask()
    left = memoryview(struct.pack(">I", size + 1) + b"N" + bytes(size))
    while left:
        try:
            left = left[inside.channel.send(left) :]
        except BlockingIOError:
            await inside.env.settle(2)

    outcome = await asked.outcome()

    assert outcome.kind == "error"
    assert (len(outcome.payload), outcome.dropped_bytes) == ((size, 0) if extra <= 0 else (0, size))
    again = await inside.ask()
    inside.send(b"O", b"2")
    assert (await again.outcome()).payload == b"2"


async def test_a_declared_size_alone_takes_no_memory(inside: Inside) -> None:
    asked = await inside.ask(timeout_s=1.0)
    inside.channel.send(struct.pack(">I", 0xFFFF_FFFF) + b"O" + b"x" * 1_000)
    await inside.env.advance(1.5)

    assert (await asked.outcome()).kind == "timeout"


async def test_an_event_larger_than_the_socket_takes_at_once_arrives_whole(inside: Inside) -> None:
    payload = os.urandom(2_000_000)
    asked = await inside.ask(payload)
    got = b""
    while len(got) < len(payload):
        try:
            got += inside.channel.recv(1_000_000)
        except BlockingIOError:
            await inside.env.settle(2)
    inside.send(b"O", b"1")

    assert got.endswith(payload)
    assert (await asked.outcome()).kind == "ok"


async def test_an_answer_before_the_event_was_read_is_a_lie(inside: Inside) -> None:
    asked = await inside.ask(bytes(2_000_000))
    inside.send(b"O", b"1")

    assert (await asked.outcome()).kind == "crash"


async def test_a_caller_that_goes_away_takes_the_instance_with_it(inside: Inside) -> None:
    asked = await inside.ask()
    asked.task.cancel()
    await inside.env.settle()

    assert (inside.processes.ends, inside.instance.alive) == (1, False)


async def test_stop_may_be_called_twice_and_answers_whoever_waits(inside: Inside) -> None:
    asked = await inside.ask()

    await inside.instance.stop()
    await inside.instance.stop()

    assert (await asked.outcome()).kind == "crash"
    assert inside.processes.ends == 1


async def test_freeze_and_thaw_reach_the_processes_while_there_are_any(inside: Inside) -> None:
    await inside.instance.freeze()
    frozen = inside.processes.frozen
    await inside.instance.thaw()
    thawed = not inside.processes.frozen
    await inside.instance.stop()
    await inside.instance.freeze()

    assert (frozen, thawed, inside.processes.frozen) == (True, True, False)
