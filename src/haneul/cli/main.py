"""The `haneul` command: which command does what. `up` is started without the parser, so that the cloud is there at once."""

import sys


def main() -> None:
    """Entry point of the console script."""
    if sys.argv[1:2] == ["up"]:
        from . import flags, up

        settings = flags.parse_flags(sys.argv[2:])
        if settings is not None:
            sys.exit(up.run(settings))
    from .commands import app

    app(prog_name="haneul")
