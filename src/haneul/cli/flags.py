"""Flags of `haneul up`, straight from the settings (--port 5100, --secure), without the cost of importing a parser."""

from typing import Any

from haneul.base.config import Config

SWITCHES = ("ephemeral", "secure", "strict_runtimes", "tls")


def parse_flags(arguments: list[str]) -> dict[str, Any] | None:
    """Settings by name, or None when something is not a plain setting (such as --help): then the full parser speaks."""
    flags: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            return None
        name, equals, value = argument[2:].partition("=")
        name = name.replace("-", "_")
        if name != "config" and name not in Config.__struct_fields__:
            return None
        if name in SWITCHES:
            if equals:
                return None
            flags[name] = True
            continue
        if not equals:
            following = next(rest, None)
            if following is None:
                return None
            value = following
        flags[name] = value
    return flags
