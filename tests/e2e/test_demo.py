"""The demo, whole: real pictures, unmodified boto3 and AWS CLI, and a kill -9 in the middle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("crash", [False, True], ids=["in peace", "with kill -9"])
def test_every_picture_gets_its_thumbnail(tmp_path: Path, crash: bool) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install 'haneul[demo]'")

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "haneul",
            "demo",
            "--images",
            "6",
            "--out",
            str(tmp_path),
            *(["--crash"] if crash else []),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    made = sorted(path for path in tmp_path.iterdir() if path.suffix in (".jpg", ".png", ".webp"))
    assert len(made) == 6
    for path in made:
        with pillow.open(path) as image:
            assert max(image.size) == 160
    assert "What this run would have cost on AWS" in done.stdout
    assert not crash or "SIGKILL after 3 acknowledged uploads" in done.stdout
