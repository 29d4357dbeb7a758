"""What is known of a function's code before it starts."""

import os
import py_compile
import time
from pathlib import Path

import pytest

from haneul.sandbox.api import Spec
from haneul.sandbox.interpreters import provided_from
from haneul.sandbox.packages import BOTO3, PLAIN, Packages

PROVIDED = {"boto3": Path("/provided/boto3"), "six.py": Path("/provided/six.py")}


def spec(code: Path, **given: object) -> Spec:
    facts = {"id": "e", "account": "1", "interpreter": "python3.11", "handler": "app.handler", "environment": {}}
    return Spec(**{**facts, "code_dir": code, **given})  # type: ignore[arg-type]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text("import boto3\n")
    return folder


def test_code_that_speaks_of_boto3_gets_it_imported(code: Path) -> None:
    assert Packages(PROVIDED).of(spec(code)).flavour == BOTO3


def test_code_that_does_not_stays_small(code: Path) -> None:
    (code / "app.py").write_text("import json\n")

    assert Packages(PROVIDED).of(spec(code)).flavour == PLAIN


@pytest.mark.parametrize("bundled", ["boto3", "six.py"])
def test_code_that_brings_its_own_is_not_shadowed(code: Path, bundled: str) -> None:
    (code / bundled).mkdir()

    assert Packages(PROVIDED).of(spec(code)).flavour == PLAIN


@pytest.mark.parametrize("below", ["python", "python/lib/python3.11/site-packages"])
def test_a_layer_that_brings_its_own_is_not_shadowed(code: Path, tmp_path: Path, below: str) -> None:
    (tmp_path / "layer" / below / "boto3").mkdir(parents=True)

    assert Packages(PROVIDED).of(spec(code, layer_dirs=(tmp_path / "layer",))).flavour == PLAIN


def test_without_boto3_on_the_machine_everything_is_plain(code: Path) -> None:
    assert Packages({}).of(spec(code)).flavour == PLAIN


@pytest.mark.parametrize("mode", list(py_compile.PycInvalidationMode))
def test_a_fresh_compiled_handler_is_shipped(code: Path, mode: py_compile.PycInvalidationMode) -> None:
    target = code / "__pycache__" / "app.cpython-311.pyc"
    py_compile.compile(str(code / "app.py"), cfile=str(target), invalidation_mode=mode)

    found = Packages(PROVIDED).of(spec(code))

    shipped = mode is not py_compile.PycInvalidationMode.CHECKED_HASH
    assert bool(found.files) == shipped
    if shipped:
        assert found.files["app"][0] == "/var/task/app.py" and found.magic == target.read_bytes()[:4].hex()


def test_a_stale_compiled_handler_is_not(code: Path) -> None:
    py_compile.compile(
        str(code / "app.py"),
        invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP,
        cfile=str(code / "__pycache__" / "app.cpython-311.pyc"),
    )
    os.utime(code / "app.py", (time.time() + 60,) * 2)

    assert Packages(PROVIDED).of(spec(code)).files == {}


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 16])
def test_a_damaged_compiled_handler_is_not(code: Path, content: bytes) -> None:
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "app.cpython-311.pyc").write_bytes(content)

    assert Packages(PROVIDED).of(spec(code)).files == {}


@pytest.mark.parametrize("handler", ["", "handler", "a.b.handler", ".handler", "../up.handler"])
def test_odd_handlers_ship_nothing(code: Path, handler: str) -> None:
    assert Packages(PROVIDED).of(spec(code, handler=handler)).files == {}


def test_code_that_is_not_there_is_plain_and_ships_nothing(tmp_path: Path) -> None:
    found = Packages(PROVIDED).of(spec(tmp_path / "nowhere"))

    assert (found.flavour, found.files) == (PLAIN, {})


def test_an_interpreter_that_is_too_old_for_boto3_does_not_get_it(code: Path) -> None:
    packages = Packages(PROVIDED)

    assert packages.of(spec(code, interpreter="python3.9")).flavour == PLAIN
    assert {oldest for _, _, oldest in packages.binds()} == {provided_from()}
