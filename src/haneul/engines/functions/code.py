"""Unpacking a deployment package: everything that a hostile archive could try is refused with a sentence that says what."""

import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import msgspec

from haneul.base.errors import Invalid, TooLarge
from haneul.base.limits import (
    CODE_DIRECTORY_MAX_BYTES,
    CODE_FILES_MAX,
    CODE_NAME_MAX_BYTES,
    CODE_UNZIPPED_MAX_BYTES,
)

_CHUNK_BYTES = 128 * 1024
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LINK_MAX_BYTES = 4_096
_NAME_PART_MAX_BYTES = 255


class Unpacked(msgspec.Struct, frozen=True):
    """How much came out of an archive."""

    files: int
    size_bytes: int


def unpack(archive: Path | IO[bytes], folder: Path) -> Unpacked:
    """Unpack into folder, which must exist and be empty; blocks: call it on a thread.

    Raises Invalid for what is not a sound zip file, TooLarge past CODE_UNZIPPED_MAX_BYTES (counted while inflating,
    whatever the headers say). Nothing outside folder is written; what was written inside is the caller's to remove.
    """
    try:
        if isinstance(archive, Path):
            with archive.open("rb") as file:
                return _unpack(file, folder)
        return _unpack(archive, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, UnicodeError) as error:
        raise _bad(f"damaged: {error}") from error
    except ValueError as error:
        raise _bad(f"damaged: {error}") from error


def _unpack(file: IO[bytes], folder: Path) -> Unpacked:
    _check_directory_size(file)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if not any(not entry.is_dir() for entry in entries):
            raise Invalid("code", "", "the archive holds no file", cause="empty")
        _check(entries)
        size_bytes = 0
        links: list[tuple[zipfile.ZipInfo, Path]] = []
        for entry in entries:
            path = folder / entry.filename
            if entry.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(entry.external_attr >> 16):
                links.append((entry, path))
                continue
            size_bytes += _write(archive, entry, path, CODE_UNZIPPED_MAX_BYTES - size_bytes)
        # Last, so that no file is ever written through one, not even where the file system folds case.
        for entry, path in links:
            _link(archive, entry, path)
    _check_links([path for _, path in links], folder)
    return Unpacked(len(entries), size_bytes)


def _check_directory_size(file: IO[bytes]) -> None:
    """Refuse a table of contents that would take long to read, before it is read."""
    file.seek(0, os.SEEK_END)
    length = file.tell()
    start = max(0, length - 65_535 - _END.size)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise _bad("not a zip file")
    count, size = _END.unpack_from(tail, at)[4:6]
    if (count == 0xFFFF or size == 0xFFFFFFFF) and at >= _END64_LOCATOR.size:
        magic, _, offset, _ = _END64_LOCATOR.unpack_from(tail, at - _END64_LOCATOR.size)
        if magic == b"PK\x06\x07":
            file.seek(min(offset, length))
            record = file.read(_END64.size)
            if len(record) < _END64.size:
                raise _bad("damaged: its table of contents is cut off")
            count, size = _END64.unpack(record)[7:9]
    if count > CODE_FILES_MAX or size > CODE_DIRECTORY_MAX_BYTES:
        raise _bad(f"more than {CODE_FILES_MAX} files")
    file.seek(0)


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > CODE_FILES_MAX:
        raise _bad(f"more than {CODE_FILES_MAX} files")
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = entry.filename
        _check_name(entry)
        if entry.flag_bits & 0x1:
            raise _bad(f"{name!r} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _bad(f"{name!r} is compressed by a method other than deflate")
        if (kind := stat.S_IFMT(entry.external_attr >> 16)) not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise _bad(f"{name!r} is neither file, folder nor link ({stat.filemode(kind)[0]})")
        path = name.rstrip("/")
        if entry.is_dir():
            folders.add(path)
        elif path in files:
            raise _bad(f"{path!r} is in it twice")
        else:
            files.add(path)
        while "/" in path:
            path = path.rpartition("/")[0]
            if path in folders:
                break
            folders.add(path)
    # A link counts as a file here.
    if both := files & folders:
        raise _bad(f"{min(both)!r} is both a file and a folder")


def _check_name(entry: zipfile.ZipInfo) -> None:
    # ZipInfo cuts the name at a NUL byte; orig_filename is what stands in the archive.
    name = entry.filename
    if "\0" in entry.orig_filename or not name.strip("/"):
        raise _bad("a name in it is empty or has a NUL byte")
    if len(name.encode("utf-8", "surrogateescape")) > CODE_NAME_MAX_BYTES:
        raise _bad(f"the name {name[:40]!r}… is too long")
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise _bad(f"{name!r} is not a relative path")
    parts = name.rstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise _bad(f"{name!r} is not a plain path")
    if any(len(part.encode("utf-8", "surrogateescape")) > _NAME_PART_MAX_BYTES for part in parts):
        raise _bad(f"the name {name[:40]!r}… is too long")


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, left_bytes: int) -> int:
    size_bytes = 0
    mode = (entry.external_attr >> 16) & 0o777 or 0o644
    # O_EXCL and O_NOFOLLOW: two names can be one on a file system that folds case.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(path, flags, 0o600)
    except FileExistsError:
        raise _bad(f"{entry.filename!r} is in it twice") from None
    with os.fdopen(handle, "wb") as out, archive.open(entry) as source:
        while chunk := source.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > left_bytes:
                raise TooLarge(
                    "code", "", f"unzipped it is larger than {CODE_UNZIPPED_MAX_BYTES} bytes", cause="unzipped"
                )
            out.write(chunk)
        # Readable by the user that the sandbox runs as, executable as packed, nothing set for anybody else.
        os.fchmod(out.fileno(), (mode & 0o755) | 0o444)
    return size_bytes


def _link(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    with archive.open(entry) as source:
        target = source.read(_LINK_MAX_BYTES + 1)
    if not target or len(target) > _LINK_MAX_BYTES or b"\0" in target:
        raise _bad(f"the link {entry.filename!r} points nowhere")
    if target.startswith(b"/"):
        raise _bad(f"the link {entry.filename!r} points outside")
    try:
        path.symlink_to(os.fsdecode(target))
    except FileExistsError:
        raise _bad(f"{entry.filename!r} is in it twice") from None


def _check_links(links: list[Path], folder: Path) -> None:
    """Judged once everything is there, as the file system itself resolves them: chains of links add up otherwise."""
    root = os.path.realpath(folder)
    for link in links:
        try:
            real = os.path.realpath(link)
        except OSError as error:
            raise _bad(f"the link {link.name!r} cannot be followed") from error
        if real != root and not real.startswith(root + os.sep):
            raise _bad(f"the link {link.relative_to(folder).as_posix()!r} points outside")


def _bad(reason: str) -> Invalid:
    return Invalid("code", "", reason, cause="archive")
