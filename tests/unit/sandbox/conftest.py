import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .loop import Loop, write_app

StartLoop = Callable[..., Loop]


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[StartLoop]:
    """Makes boot loops over the given source of app.py, and ends them after the test."""
    made: list[Loop] = []

    def make(source: str = "", interpreter: str = sys.executable) -> Loop:
        made.append(Loop(interpreter, write_app(tmp_path, source)))
        return made[-1]

    yield make
    for one in made:
        one.kill()
