"""The command line against a real cloud: what a new user types, what goes wrong, and what survives a restart."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functions import make_function
from tests.server import Server

HELLO = """
def handler(event, context):
    print("saw", event["name"])
    if event["name"] == "bad":
        raise ValueError("no such name")
    return {"hello": event["name"]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("cloud") / "data").start()
    make_function(running.client("lambda"), "hello", HELLO)
    yield running
    running.stop()


def test_invoke_prints_the_answer_and_the_log(server: Server) -> None:
    said = server.haneul("invoke", "hello", "-d", '{"name": "sky"}')

    assert '{"hello": "sky"}' in said
    assert "saw sky" in said and "REPORT RequestId:" in said


def test_invoke_fails_when_the_function_fails(server: Server) -> None:
    said = server.haneul("invoke", "hello", "-d", '{"name": "bad"}', status=1)

    assert '"errorType": "ValueError"' in said


def test_invoke_of_what_is_not_there_says_so(server: Server) -> None:
    said = server.haneul("invoke", "nothing", status=1)

    assert "Function not found" in said and "Traceback" not in said


def test_logs_show_what_the_function_wrote(server: Server) -> None:
    server.haneul("invoke", "hello", "-d", '{"name": "moon"}')

    assert "saw moon" in server.haneul("logs", "hello")


def test_traces_and_one_trace(server: Server) -> None:
    server.haneul("invoke", "hello", "-d", '{"name": "sun"}')

    listed = json.loads(server.haneul("traces", "--json"))
    shown = server.haneul("traces", listed[0]["trace_id"])

    assert "lambda" in json.dumps(listed)
    assert "█" in shown and " ms" in shown


def test_cost_adds_up(server: Server) -> None:
    server.haneul("invoke", "hello", "-d", '{"name": "sun"}')

    bill = json.loads(server.haneul("cost", "--json"))

    assert bill["currency"] == "USD"
    assert any(line["service"] == "lambda" for line in bill["lines"])
    assert float(bill["total"]) == pytest.approx(sum(float(line["amount"]) for line in bill["lines"]), abs=1e-9)


def test_status_in_a_pipe_is_plain_text(server: Server) -> None:
    said = server.haneul("status")

    assert f"url\t{server.url}" in said
    assert "\x1b[" not in said


def test_doctor_names_the_tier() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haneul", "doctor", "--json"], capture_output=True, text=True, timeout=60, check=True
    )

    facts = json.loads(done.stdout)
    assert facts["sandbox tier"] in ("strict", "userns", "landlock", "process")
    assert facts["runtimes"]
    assert facts["Lambda's Python"].startswith("python3.9") and "python3.14" in facts["Lambda's Python"]


def test_everything_is_there_after_a_restart_and_gone_after_a_reset(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    make_function(server.client("lambda"), "kept", HELLO)
    server.client("s3").create_bucket(Bucket="kept")
    server.client("s3").put_object(Bucket="kept", Key="a", Body=b"1" * 100_000)
    assert server.stop() == 0

    server.start()
    try:
        assert '{"hello": "again"}' in server.haneul("invoke", "kept", "-d", '{"name": "again"}')
        assert server.client("s3").get_object(Bucket="kept", Key="a")["Body"].read() == b"1" * 100_000

        server.haneul("reset", "--yes")

        assert server.client("s3").list_buckets()["Buckets"] == []
        assert server.client("lambda").list_functions()["Functions"] == []
    finally:
        server.stop()


def test_two_clouds_cannot_share_a_folder(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    try:
        second = subprocess.run(
            [sys.executable, "-m", "haneul", "up", "--port", "0", "--data-dir", str(server.folder)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        server.stop()

    assert second.returncode == 1
    assert "in use by another haneul" in second.stderr and "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["up", "--port", "seventy"], "port"),
        (["up", "--tier", "loose"], "tier"),
        (["up", "--host", "0.0.0.0"], "--secure"),
    ],
)
def test_wrong_settings_are_one_line(arguments: list[str], word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haneul", *arguments], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 2
    assert word in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "haneul",
                "up",
                "--port",
                str(taken.getsockname()[1]),
                "--data-dir",
                str(tmp_path / "d"),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert done.returncode == 1
    assert "cannot listen" in done.stderr and "Traceback" not in done.stderr


def test_no_cloud_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "-m", "haneul", "status", "--endpoint", f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert "haneul up" in done.stderr


def test_a_second_ctrl_c_leaves_at_once_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    server = Server(tmp_path / "data").start()
    client = server.client("lambda")
    make_function(client, "slow", "import time\n\ndef handler(event, context):\n    time.sleep(60)\n", Timeout=90)
    arn = client.get_function(FunctionName="slow")["Configuration"]["FunctionArn"]
    caller = subprocess.Popen(
        [sys.executable, "-m", "haneul", "invoke", "slow"],
        env={**os.environ, "HANEUL_DATA_DIR": str(server.folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.process is not None
        until = time.monotonic() + 30
        while json.loads(server.haneul("status", "--json"))["environments"] == 0 and time.monotonic() < until:
            time.sleep(0.05)
        server.process.send_signal(signal.SIGINT)
        while "stopping" not in server.output() and time.monotonic() < until:
            time.sleep(0.02)
        server.process.send_signal(signal.SIGINT)

        assert server.process.wait(timeout=5) == 130
    finally:
        caller.kill()
        caller.wait()
    assert "left at once" in server.output() and "Traceback" not in server.output()
    server.start()
    try:
        assert server.client("lambda").get_function(FunctionName="slow")["Configuration"]["FunctionArn"] == arn
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() == 0, reason="root has the strict tier")
def test_a_tier_that_is_not_to_be_had_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "haneul", "up", "--tier", "strict", "--port", "0", "--data-dir", str(tmp_path / "d")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert "needs root" in done.stderr and len(done.stderr.strip().splitlines()) == 1
