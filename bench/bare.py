"""haneul's HTTP server with a face that says hello: `python -m bench.bare NOTE` writes its address to NOTE."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import uvloop

from haneul.base.env import RealEnv
from haneul.base.log import StreamLog
from haneul.gateway.http import Request, Response
from haneul.gateway.server import Server


class Hello:
    async def handle(self, request: Request) -> Response:
        return Response(200, [(b"content-type", b"text/plain")], b"hello")


async def main(note: Path) -> None:
    env = RealEnv()
    server = Server(Hello(), env, StreamLog(env))
    port = await server.start("127.0.0.1", 0)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    unfinished = note.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"url": f"http://127.0.0.1:{port}"}))
    unfinished.rename(note)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
