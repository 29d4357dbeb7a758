"""`haneul up`: run the cloud in this process until it is told to stop."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from haneul.app import Cloud, build
from haneul.base.config import Config, load_config
from haneul.base.errors import Failure

from .running import write_running


def run(flags: dict[str, Any]) -> int:
    """Exit status: 0 after a clean stop, 2 for settings that do not work, 1 when the cloud cannot start."""
    file = flags.pop("config", None) or (Path("haneul.toml") if Path("haneul.toml").is_file() else None)
    try:
        config = load_config(flags, os.environ, Path(file) if file else None)
    except Failure as error:
        print(f"haneul: {error.noun} {error.name}: {error.reason}", file=sys.stderr)
        return 2
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(config))
    except Failure as error:
        print(f"haneul: cannot start: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"haneul: cannot go on: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("haneul: left at once; what was acknowledged is kept", file=sys.stderr)
        return 130


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
        with write_running(config.data_dir, cloud.url):
            print(banner(cloud), file=sys.stderr, flush=True)
            await stop.wait()
            print("stopping: finishing what is in flight (Ctrl-C again to leave at once)", file=sys.stderr, flush=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
    finally:
        await cloud.stop()
    return 0


def banner(cloud: Cloud) -> str:
    """What a person wants to know at the start."""
    config = cloud.config
    capabilities = cloud.sandbox.capabilities
    kept = "in memory, gone when it stops" if config.ephemeral else f"kept in {config.data_dir}"
    lines = [
        f"haneul is up at {cloud.url}",
        f"  mode       {'secure: signatures verified, decisions enforced' if config.secure else 'developer: any credentials'}",
        f"  state      {kept}",
        f"  sandbox    {capabilities.tier}" + ("" if not capabilities.reasons else f" ({capabilities.reasons[0]})"),
        f"  runtimes   {', '.join(sorted(capabilities.runtimes)) or 'none found'}",
        f"  try        aws --endpoint-url {cloud.url} s3 mb s3://hello     stop: Ctrl-C",
    ]
    if cloud.new_root_key is not None:
        lines.insert(
            1,
            f"  root key   {cloud.new_root_key} (secret in {config.data_dir / 'root-credentials'}; readable by you only)",
        )
    return "\n".join(lines)
