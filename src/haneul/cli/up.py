"""`haneul up`: run the cloud in this process until it is told to stop."""

import asyncio
import gc
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from haneul.app import Cloud, build
from haneul.base.config import Config, load_config
from haneul.base.errors import Failure

from . import words
from .running import write_running

GC_THRESHOLDS = (50_000, 20, 50)
FOR_COMMANDS = ("HANEUL_ENDPOINT", "HANEUL_ADMIN_TOKEN")


def run(flags: dict[str, Any]) -> int:
    """Exit status: 0 after a clean stop, 2 for settings that do not work, 1 when the cloud cannot start."""
    file = flags.pop("config", None) or (Path("haneul.toml") if Path("haneul.toml").is_file() else None)
    try:
        config = load_config(flags, os.environ, Path(file) if file else None)
    except Failure as error:
        print(f"haneul: {error.noun} {error.name}: {error.reason}", file=sys.stderr)
        return 2
    for name in sorted(os.environ):
        if name.startswith("HANEUL_") and name[7:].lower() not in Config.__struct_fields__ and name not in FOR_COMMANDS:
            print(f"haneul: {name} is no setting; see docs/configuration.md", file=sys.stderr)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(config))
    except Failure as error:
        print(f"haneul: cannot start: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"haneul: cannot go on: {error}", file=sys.stderr)
        return 1


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(config: Config) -> int:
    cloud = build(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await cloud.start()
        _rest_collector()
        with write_running(config.data_dir, cloud.url, directory=cloud.directory, ca=cloud.ca):
            print(banner(cloud), file=sys.stderr, flush=True)
            await stop.wait()
            print("stopping: finishing what is in flight (Ctrl-C again to leave at once)", file=sys.stderr, flush=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, _leave, cloud)
    finally:
        await cloud.stop()
    return 0


def _rest_collector() -> None:
    """What is there after the start stays: the collector need not look at it again, and requests make few cycles. With
    Python's own threshold of 700 objects it ran every few dozen requests, for 5 to 10 % of their time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _leave(cloud: Cloud) -> None:
    """As kill -9 would: the state is safe, the sandboxes end with this process, and only what is in flight is lost."""
    if cloud.config.ephemeral:
        shutil.rmtree(cloud.directory, ignore_errors=True)
    print("haneul: left at once; what was acknowledged is kept", file=sys.stderr, flush=True)
    os._exit(130)


def banner(cloud: Cloud) -> str:
    """What a person wants to know at the start."""
    config = cloud.config
    known = cloud.sandbox.capabilities
    lines = [
        ("mode", "secure: signatures verified, decisions enforced" if config.secure else "developer: any credentials"),
        ("state", "in memory, gone when it stops" if config.ephemeral else f"kept in {config.data_dir.absolute()}"),
        ("sandbox", words.tier(known.tier, known.reasons)),
        ("runtimes", ", ".join(sorted(known.runtimes, key=words.by_version)) or "none found"),
    ]
    if cloud.new_root_key is not None:
        lines.append(
            ("root key", f"{cloud.new_root_key}; secret in {cloud.directory / 'root-credentials'}, for you only")
        )
    bundle = ""
    if cloud.ca is not None:
        lines.append(("CA", f"{cloud.ca} (clients trust it with AWS_CA_BUNDLE, verify= or --ca-bundle)"))
        bundle = f" --ca-bundle {cloud.ca}"
    lines.append(("try", f"aws --endpoint-url {cloud.url}{bundle} s3 mb s3://hello"))
    lines.append(("stop", "Ctrl-C"))
    bold, dim, plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stderr.isatty() else ("", "", "")
    head = f"{bold}haneul is up at {cloud.url}{plain}"
    return "\n".join([head, *(f"  {dim}{name:9}{plain} {text}" for name, text in lines)])
