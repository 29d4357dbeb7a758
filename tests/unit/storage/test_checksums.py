"""Checksums: known answers, and the Python way gives what the native way gives."""

import random

import pytest

from haneul.storage import checksums

CHECK = (
    b"123456789"  # the usual test string; answers from the catalogue at https://reveng.sourceforge.io/crc-catalogue/
)


@pytest.mark.parametrize(
    ("name", "hexadecimal"),
    [
        ("md5", "25f9e794323b453885f5181f1b624d0b"),
        ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
    ],
)
def test_known_answers(name: str, hexadecimal: str) -> None:
    digest = checksums.new(name)
    digest.update(CHECK[:4])
    digest.update(CHECK[4:])

    assert digest.hexdigest() == checksums.digest_of(name, CHECK) == hexadecimal


@pytest.mark.parametrize(("name", "digits"), [("crc32", 8), ("crc32c", 8), ("crc64nvme", 16)])
def test_nothing_has_the_checksum_zero_in_full_width(name: str, digits: int) -> None:
    assert checksums.new(name).hexdigest() == "0" * digits


@pytest.mark.parametrize(("name", "check"), [("crc32c", 0xE3069283), ("crc64nvme", 0xAE8B14860A799888)])
def test_the_python_way_knows_the_answer(name: str, check: int) -> None:
    assert checksums.crc_in_python(name, CHECK) == check


@pytest.mark.parametrize("name", ["crc32c", "crc64nvme"])
def test_the_python_way_agrees_with_the_native_way_for_any_length_and_cut(name: str) -> None:
    native = getattr(pytest.importorskip("awscrt.checksums", reason="awscrt is not installed"), name)
    chance = random.Random(1)
    for size in [*range(20), 1000, 4097]:
        data = chance.randbytes(size)
        cut = chance.randint(0, size)
        first = checksums.crc_in_python(name, data[:cut])
        assert checksums.crc_in_python(name, data[cut:], first) == native(data)


def test_an_unknown_name_is_a_programmers_error() -> None:
    with pytest.raises(AssertionError, match="md5, sha1"):
        checksums.new("crc16")
