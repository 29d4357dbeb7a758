"""Finding interpreters and choosing one for a runtime name."""

import os
import sys
from pathlib import Path

import pytest

from haneul.base.env import ManualEnv, RealEnv
from haneul.base.errors import Invalid, NotBuilt, Unavailable
from haneul.sandbox.api import Capabilities
from haneul.sandbox.interpreters import (
    Interpreters,
    choose_runtime,
    link_provided_packages,
    nearest,
    provided_from,
    provided_packages,
)

HERE = f"python3.{sys.version_info[1]}"
THIS = os.path.realpath(sys.executable)


def machine(home: Path, *versions: str) -> Interpreters:
    """A machine whose PATH has these programs, beside the Python that runs the test."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    for version in versions:
        program = folder / version
        program.write_text("#!/bin/sh\necho something else\n")
        program.chmod(0o755)
    found = Interpreters(RealEnv(), environ={"PATH": str(folder)}, home=home)
    usual = {name: path for name, path in found.found.items() if path.startswith(str(home)) or name == HERE}
    found._found = usual  # the machine's own /usr/bin is no part of these tests
    return found


def test_the_python_that_runs_haneul_is_always_found(tmp_path: Path) -> None:
    assert machine(tmp_path).found == {HERE: THIS}


def test_programs_are_known_by_their_names_and_old_ones_left_out(tmp_path: Path) -> None:
    found = machine(tmp_path, "python3.8", "python3.40", "python3.41-config", "python3", "pythonx").found

    assert list(found) == [HERE, "python3.40"]


def test_the_very_version_needs_no_warning(tmp_path: Path) -> None:
    assert nearest(machine(tmp_path).found, HERE, strict=True) == (HERE, "")


@pytest.mark.parametrize("runtime", ["python2.7", "python3.6", "python3.19"])
def test_another_version_of_the_family_stands_in_with_a_warning(tmp_path: Path, runtime: str) -> None:
    assert nearest(machine(tmp_path).found, runtime, strict=False) == (
        HERE,
        f"{runtime} is not on this machine; using {HERE}",
    )


def test_strict_runtimes_refuse_a_stand_in(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"python3\.19 is not on this machine"):
        nearest(machine(tmp_path).found, "python3.19", strict=True)


@pytest.mark.parametrize(
    "runtime", ["nodejs22.x", "java21", "ruby3.3", "dotnet8", "go1.x", "provided.al2023", "nodejs"]
)
def test_other_languages_are_named_as_not_built(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(NotBuilt) as refused:
        nearest(machine(tmp_path).found, runtime, strict=False)

    assert refused.value.name == runtime


@pytest.mark.parametrize("runtime", ["", "python", "python3", "python3.", "cobol", "python3.11 ", "nodejs99"])
def test_an_unknown_runtime_is_invalid(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(Invalid):
        nearest(machine(tmp_path).found, runtime, strict=False)


async def test_an_interpreter_is_run_once_before_it_is_used(tmp_path: Path) -> None:
    found = machine(tmp_path, "python3.40")

    assert await found.executable(HERE) == THIS
    with pytest.raises(Unavailable, match="another version"):
        await found.executable("python3.40")


def test_looking_for_interpreters_runs_nothing(tmp_path: Path) -> None:
    interpreters = Interpreters(ManualEnv(), environ={"PATH": f"{tmp_path}/nowhere:"}, home=tmp_path)

    assert HERE in interpreters.found


def test_what_functions_are_provided_with_includes_boto3(tmp_path: Path) -> None:
    folder = link_provided_packages(tmp_path / "runtime")

    assert {"boto3", "botocore", "urllib3"} <= set(provided_packages())
    assert (folder / "boto3" / "__init__.py").exists()
    assert link_provided_packages(folder) == folder


class Having:
    """A sandbox that has these interpreters."""

    def __init__(self, *names: str) -> None:
        self.capabilities = Capabilities(tier="process", runtimes={name: f"/usr/bin/{name}" for name in names})


@pytest.mark.parametrize(
    ("runtime", "warnings"),
    [
        ("python3.9", ["python3.9 functions bring their own boto3: the one provided needs Python 3.{}"]),
        ("python3.12", []),
        (
            "python3.8",
            [
                "python3.8 is not on this machine; using python3.9",
                "python3.9 functions bring their own boto3: the one provided needs Python 3.{}",
            ],
        ),
    ],
)
def test_the_exact_version_comes_first_and_what_it_lacks_is_said(runtime: str, warnings: list[str]) -> None:
    _, warning = choose_runtime(Having("python3.9", "python3.12"), strict=False)(runtime)  # type: ignore[arg-type]

    assert warning == "; ".join(warnings).format(provided_from())


def test_the_provided_packages_run_here() -> None:
    assert 10 <= provided_from() <= sys.version_info[1]
