"""Log lines: one event, one line, whatever the facts hold."""

import io
import json

from haneul.base.env import ManualEnv
from haneul.base.log import StreamLog


def test_what_a_client_wrote_cannot_forge_a_line_or_a_colour() -> None:
    stream = io.StringIO()

    StreamLog(ManualEnv(), stream=stream, as_json=False).warning(
        "refused", key="a\nerror forged", colour="\x1b[31m", plain="b"
    )

    assert stream.getvalue() == 'warning refused key="a\\nerror forged" colour="\\u001b[31m" plain=b\n'


def test_a_pipe_gets_json() -> None:
    stream = io.StringIO()

    StreamLog(ManualEnv(now=5.0), stream=stream).info("up", port=1)

    assert json.loads(stream.getvalue()) == {"time": 5.0, "level": "info", "event": "up", "port": 1}


def test_less_than_the_level_is_not_written() -> None:
    stream = io.StringIO()

    StreamLog(ManualEnv(), level="error", stream=stream).warning("never")

    assert stream.getvalue() == ""
