"""kill -9 while events are on their way: each one that was acknowledged arrives, once or more."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROUNDS = 3


def run(directory: Path, name: str, seconds: float) -> list[list[str]]:
    """What the process said until it was killed after `seconds`; 0: until it ended by itself."""
    command = [sys.executable, "-m", "tests.crash.delivery_worker", str(directory), name, str(seconds)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n", "the worker did not start"
    if seconds:
        time.sleep(seconds)  # the moment of the crash is the point of the test; nothing waits for anything here
        worker.kill()
    said, _ = worker.communicate(timeout=30)
    whole = said[: said.rindex(b"\n") + 1] if b"\n" in said else b""
    return [line.split() for line in whole.decode().splitlines()]


def test_every_acknowledged_event_arrives_though_the_process_is_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(3)
    said = [words for at in range(ROUNDS) for words in run(tmp_path, f"run{at}", chance.uniform(0.1, 0.5))]
    said += run(tmp_path, "last", 0)

    sent = {id for word, id in said if word == "sent"}
    took = Counter(id for word, id in said if word == "took")
    assert len(sent) > 100, "hardly anything was acknowledged: the test has shown nothing"
    assert sent - set(took) == set(), "an acknowledged event is lost"
    again = sum(count - 1 for count in took.values())
    assert again <= ROUNDS * 256, "more came twice than were on their way at the moments of the crashes"


def test_what_was_settled_before_a_crash_does_not_come_again(tmp_path: Path) -> None:
    run(tmp_path, "run", 0.3)
    run(tmp_path, "last", 0)

    assert run(tmp_path, "once more", 0) == []
