"""Settings: defaults, then a file, then HANEUL_* variables, then flags; one frozen object, checked once."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .errors import Invalid

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set.

    host, port          where to listen; anything but loopback needs secure
    data_dir            where state lives; None with ephemeral keeps all of it in memory
    secure              verify every signature and enforce every decision
    account, region     used when a request names neither
    tier                strict | userns | landlock | process | auto: the isolation of functions
    egress              open | closed | auto (open in developer mode, closed in secure mode)
    strict_runtimes     refuse a runtime whose interpreter is not on this machine, instead of taking the nearest
    environments_max    how many function environments may exist at once on this node
    idle_s              how long an idle environment is kept at most
    """

    host: str = "127.0.0.1"
    port: int = 4566
    data_dir: Path = Path(".haneul")
    ephemeral: bool = False
    secure: bool = False
    account: str = "000000000000"
    region: str = "us-east-1"
    tier: str = "auto"
    egress: str = "auto"
    strict_runtimes: bool = False
    environments_max: int = 2_000
    idle_s: float = 600.0
    pool_size: int = 4
    tls: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    log_level: str = "info"
    domain: str = "localhost"


_CHOICES = {
    "tier": ("auto", "strict", "userns", "landlock", "process"),
    "egress": ("auto", "open", "closed"),
    "log_level": ("debug", "info", "warning", "error"),
}

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "path": "a path"}


def load_config(flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None) -> Config:
    """The settings in force. Raises Invalid with the setting's name and what it may be."""
    merged: dict[str, Any] = {}
    if file is not None:
        merged.update(_read_file(file))
    for name in Config.__struct_fields__:
        if (text := environ.get(f"HANEUL_{name.upper()}")) is not None:
            merged[name] = text
    merged.update({name: value for name, value in flags.items() if value is not None})
    return check(_convert(merged))


def check(config: Config) -> Config:
    """The same settings, when they agree with each other."""
    for name, allowed in _CHOICES.items():
        if getattr(config, name) not in allowed:
            raise Invalid("setting", name, f"must be one of {', '.join(allowed)}")
    if not 0 <= config.port <= 65535:
        raise Invalid("setting", "port", "must be between 0 and 65535")
    if len(config.account) != 12 or not config.account.isdigit():
        raise Invalid("setting", "account", "must be 12 digits")
    if config.host not in LOOPBACK and not config.secure:
        raise Invalid(
            "setting", "host", f"listening on {config.host} needs --secure; without it only loopback is allowed"
        )
    if (config.tls_certificate is None) != (config.tls_key is None):
        raise Invalid("setting", "tls_certificate", "tls_certificate and tls_key go together")
    return config


def _read_file(file: Path) -> dict[str, Any]:
    import tomllib  # 4 ms that a start without a settings file need not pay

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid("settings file", os.fspath(file), str(error)) from error


def _convert(values: dict[str, Any]) -> Config:
    unknown = sorted(set(values) - set(Config.__struct_fields__))
    if unknown:
        raise Invalid("setting", unknown[0], f"unknown; known are {', '.join(Config.__struct_fields__)}")
    try:
        return msgspec.convert(values, Config, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        expected = re.search(r"Expected `(\w+)", str(error))
        kind = _KINDS.get(expected[1], expected[1]) if expected else "something else"
        name = str(error).rpartition("`$.")[2].rstrip("`")
        raise Invalid("setting", name, f"must be {kind}, and is {values.get(name)!r}") from error


def _decode(kind: type, value: Any) -> Any:
    return kind(value)
