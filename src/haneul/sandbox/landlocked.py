"""Tier "landlock": the process tier, whose processes first give up what is not theirs; for where namespaces are forbidden."""

import json
import os
from pathlib import Path

from . import landlock
from .api import Spec
from .interpreters import provided_packages
from .process import BOOT_DIR

_LIBRARY = str(Path(__file__).parents[2])
_LAUNCH = (
    f"import sys;sys.path[:0]=[{BOOT_DIR!r},{_LIBRARY!r}];import python;from haneul.sandbox import landlock;"
    "landlock.enter(sys.argv[1]);"
    "[sys.modules.pop(n) for n in list(sys.modules) if n=='python' or n.partition('.')[0]=='haneul'];"
    "del sys.path[:2];python.serve(3)"
)


def unfit() -> str:
    """Why this tier cannot be had here; "" when it can."""
    return "" if landlock.abi() else "the kernel has no Landlock, or it is switched off (see /sys/kernel/security/lsm)"


def command(spec: Spec, executable: str, tmp: Path) -> list[str]:
    """How ProcessSandbox starts a loop that may read its code and the interpreter, and write only its /tmp."""
    runtime = tmp.parents[1] / "runtime"
    places = (Path(executable).parents[1], spec.code_dir, *spec.layer_dirs, runtime, *provided_packages().values())
    plan = {
        "read": [os.fspath(place) for place in places],
        "write": [os.fspath(tmp)],
        "connect_port": spec.endpoint[1] if spec.egress == "closed" else None,
    }
    return [executable, "-I", "-S", "-c", _LAUNCH, json.dumps(plan)]
