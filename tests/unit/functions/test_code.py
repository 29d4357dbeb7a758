"""Unpacking: sound archives come out as they went in; hostile ones are refused and leave nothing outside."""

import contextlib
import io
import os
import random
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from haneul.base.errors import Invalid, TooLarge
from haneul.base.limits import CODE_UNZIPPED_MAX_BYTES
from haneul.engines.functions.code import unpack
from tests.unit.functions.fake import zipped


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.create_system = 3
    return info


def archive(*entries: tuple[zipfile.ZipInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for info, content in entries:
            made.writestr(info, content)
    return buffer


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    return entry(name, stat.S_IFLNK | 0o777), target.encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "outer" / "inside"
    inside.mkdir(parents=True)
    return inside


def refused(content: io.BytesIO | bytes, folder: Path) -> str:
    with pytest.raises(Invalid) as failure:
        unpack(io.BytesIO(content) if isinstance(content, bytes) else content, folder)
    assert sorted(folder.parent.iterdir()) == [folder]
    return failure.value.reason


def test_files_and_folders_come_out(folder: Path) -> None:
    unpacked = unpack(io.BytesIO(zipped({"app.py": "x = 1", "lib/deep/a.txt": "abc", "empty/": ""})), folder)

    assert (folder / "app.py").read_text() == "x = 1"
    assert (folder / "lib/deep/a.txt").read_text() == "abc"
    assert (folder / "empty").is_dir()
    assert unpacked.size_bytes == 8


def test_modes_are_kept_sanely(folder: Path) -> None:
    unpack(
        archive(
            (entry("run", 0o100755), b"#!"),
            (entry("secret", 0o100600), b""),
            (entry("root", 0o104777), b""),
            (entry("none", 0), b""),
        ),
        folder,
    )

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"run": 0o755, "secret": 0o644, "root": 0o755, "none": 0o644}


def test_links_inside_are_kept(folder: Path) -> None:
    unpack(archive((entry("lib/real.so.1"), b"elf"), link("lib/real.so", "real.so.1"), link("up/x", "../lib")), folder)

    assert (folder / "lib/real.so").read_bytes() == b"elf"
    assert (folder / "up/x/real.so.1").read_bytes() == b"elf"


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "..", "a/./b", "a//b", "C:/evil", "c:evil", "..\\evil", "a\\b", "x" * 300],
)
def test_a_name_that_leads_elsewhere_is_refused(folder: Path, name: str) -> None:
    refused(archive((entry(name), b"evil")), folder)


@pytest.mark.parametrize(
    "links",
    [
        [("evil", "/etc")],
        [("evil", "..")],
        [("a/b/evil", "../../../x")],
        [("evil", "")],
        [("p", "."), ("d1/d2/d3/q", "../../../p/p/p/../../..")],
    ],
)
def test_a_link_that_leads_out_is_refused(folder: Path, links: list[tuple[str, str]]) -> None:
    refused(archive(*(link(*each) for each in links)), folder)


def test_nothing_is_written_through_a_link(folder: Path) -> None:
    reason = refused(archive(link("lib", "."), (entry("lib/evil"), b"")), folder)

    assert "both a file and a folder" in reason


def test_a_name_that_comes_twice_is_refused(folder: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = archive((entry("a"), b"1"), (entry("a"), b"2"))

    assert "twice" in refused(content, folder)


def test_a_file_that_is_a_folder_too_is_refused(folder: Path) -> None:
    refused(archive((entry("a"), b""), (entry("a/b"), b"")), folder)


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK])
def test_what_is_no_file_is_refused(folder: Path, kind: int) -> None:
    refused(archive((entry("x", kind | 0o644), b"")), folder)


def test_an_encrypted_file_is_refused(folder: Path) -> None:
    content = bytearray(zipped({"a": "x"}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1

    assert "encrypted" in refused(bytes(content), folder)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(folder: Path, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        made.writestr("a", "x" * 100)

    refused(buffer, folder)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_archive_is_refused(folder: Path, content: bytes) -> None:
    refused(content, folder)


def test_an_archive_without_files_is_refused_as_empty(folder: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w"):
        pass

    with pytest.raises(Invalid) as failure:
        unpack(buffer, folder)

    assert failure.value.fields["cause"] == "empty"


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_archive_is_refused_or_comes_out_whole(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(zipped({"app.py": "x = 1\n" * 200, "b/c.txt": os.urandom(500)}))
    for _ in range(3):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)

    with contextlib.suppress(Invalid, TooLarge):
        unpack(io.BytesIO(bytes(content)), folder)
    assert sorted(folder.parent.iterdir()) == [folder]


def test_a_cut_archive_is_refused(folder: Path) -> None:
    content = zipped({"app.py": os.urandom(1_000)})

    for cut in range(0, len(content) - 1, 37):
        refused(content[:cut], folder)


def test_a_bomb_is_stopped_while_it_inflates(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for number in range(3):
            with made.open(f"zeros{number}", "w") as file:
                for _ in range(100):
                    file.write(bytes(1_000_000))

    with pytest.raises(TooLarge):
        unpack(bomb, folder)

    assert sum(path.stat().st_size for path in folder.iterdir()) <= CODE_UNZIPPED_MAX_BYTES


def test_a_size_in_a_header_is_not_believed(folder: Path) -> None:
    content = bytearray(zipped({"a": "x" * 100_000}))
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", content, content.index(magic) + offset, 10)

    refused(bytes(content), folder)


def test_a_huge_table_of_contents_is_not_even_read(folder: Path) -> None:
    content = bytearray(zipped({"a": "x"}))
    struct.pack_into("<HHL", content, content.index(b"PK\x05\x06") + 8, 65_000, 65_000, 100_000_000)

    assert "more than" in refused(bytes(content), folder)
