from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sandboxes import TIERS, Rig, open_rig

STRONG = ("strict", "userns")


@pytest.fixture(params=TIERS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """A sandbox of each tier. A test that a tier does not promise to pass names those that do: @pytest.mark.tiers."""
    marker = request.node.get_closest_marker("tiers")
    if marker is not None and request.param not in marker.args:
        pytest.skip(f"tier {request.param} does not promise this")
    made = await open_rig(request.param, tmp_path)
    yield made
    await made.sandbox.close()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tiers(*names): the tiers that promise to stop the attack")
