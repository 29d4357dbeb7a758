"""The README's Python runs as it stands, against a cloud on the port of its choice."""

import re
from pathlib import Path

from haneul.cli.commands import app
from tests.cloud import TestCloud, test_config

README = Path(__file__).parents[2] / "README.md"


def test_the_example_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 1
    cloud = TestCloud(test_config())
    try:
        code = blocks[0].replace("http://127.0.0.1:4566", cloud.url)
        said: list[str] = []
        exec(compile(code, "README.md", "exec"), {"print": said.append})
    finally:
        cloud.close()

    assert said == ['{"hello": "sky"}']


def test_every_command_it_shows_exists() -> None:
    shown = "\n".join(re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.S))
    known = {(each.name or each.callback.__name__) for each in app.registered_commands if each.callback}
    for line in re.findall(r"^haneul (\w+)", shown, re.M):
        assert line in known, f"README shows haneul {line}"
