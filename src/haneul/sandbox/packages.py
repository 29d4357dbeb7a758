"""What of a function's code is known before it starts: which imports to have ready, and its handler's compiled form."""

import binascii
import os
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from haneul.base.limits import CODE_SCAN_MAX_BYTES, CODE_SCAN_MAX_FILES, KNOWN_CODE_MAX, SHIPPED_CODE_MAX_BYTES

from .api import Spec
from .interpreters import can_import_provided, provided_from

PLAIN = "plain"
BOTO3 = "boto3"
PREIMPORT = {
    PLAIN: ("json", "traceback", "re"),
    BOTO3: ("json", "traceback", "re", "boto3", "botocore.session", "botocore.httpsession"),
}

_PYC_HEADER_BYTES = 16


class Code(NamedTuple):
    """flavour: which zygote suits. files, magic: the members of the init frame of boot/python.py."""

    flavour: str
    files: dict[str, tuple[str, str]]
    magic: str


class Packages:
    """Looks at code once per directory: it does not change after it was unpacked."""

    def __init__(self, provided: dict[str, Path]) -> None:
        self._provided = provided
        self._from = provided_from()
        self._known: OrderedDict[tuple[Path, tuple[Path, ...], str, str], Code] = OrderedDict()

    def binds(self) -> list[tuple[str, str, int]]:
        """(host path, path inside, the oldest Python 3 that is given it) of the provided packages."""
        return [(os.fspath(place), f"/var/runtime/{name}", self._from) for name, place in self._provided.items()]

    def of(self, spec: Spec) -> Code:
        """What is known of a function's code."""
        key = (spec.code_dir, spec.layer_dirs, spec.handler, spec.interpreter)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Code(self._flavour(spec), *_shipped(spec))
            if len(self._known) > KNOWN_CODE_MAX:
                self._known.popitem(last=False)
        return found

    def _flavour(self, spec: Spec) -> str:
        """boto3 when the code speaks of it and brings nothing of its own that the zygote's imports would shadow."""
        if "boto3" not in self._provided or not can_import_provided(spec.interpreter):
            return PLAIN
        version = f"python/lib/{spec.interpreter}/site-packages"
        places = [spec.code_dir]
        places += [layer / below for layer in spec.layer_dirs for below in ("python", version)]
        for place in places:
            for name in self._provided:
                if (place / name).exists():
                    return PLAIN
        return BOTO3 if _mentions(spec.code_dir, b"boto3") else PLAIN


def _mentions(directory: Path, word: bytes) -> bool:
    """Whether a Python file at the top of a directory holds a word."""
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix == ".py")[:CODE_SCAN_MAX_FILES]
        for path in files:
            if path.stat().st_size <= CODE_SCAN_MAX_BYTES and word in path.read_bytes():
                return True
    except OSError:
        return False
    return False


def _shipped(spec: Spec) -> tuple[dict[str, tuple[str, str]], str]:
    """The handler module's compiled form, where deployment left one that is up to date: it saves the path search."""
    module = spec.handler.rpartition(".")[0].replace("/", ".")
    if not module or "." in module or module.startswith("-"):
        return {}, ""
    source = spec.code_dir / f"{module}.py"
    tag = spec.interpreter.replace("python", "cpython-").replace(".", "")
    compiled = spec.code_dir / "__pycache__" / f"{module}.{tag}.pyc"
    try:
        facts, content = source.stat(), compiled.read_bytes()
    except OSError:
        return {}, ""
    if len(content) > SHIPPED_CODE_MAX_BYTES or not _fresh(content, facts):
        return {}, ""
    code = binascii.b2a_base64(content[_PYC_HEADER_BYTES:], newline=False).decode()
    return {module: (f"/var/task/{module}.py", code)}, content[:4].hex()


def _fresh(content: bytes, source: os.stat_result) -> bool:
    """Whether a .pyc is of its source, by the rules of PEP 552: the import system would take it unread."""
    if len(content) < _PYC_HEADER_BYTES:
        return False
    flags = int.from_bytes(content[4:8], "little")
    if flags & 1:
        return not flags & 2
    modified, size = int.from_bytes(content[8:12], "little"), int.from_bytes(content[12:16], "little")
    return modified == int(source.st_mtime) & 0xFFFFFFFF and size == source.st_size & 0xFFFFFFFF
