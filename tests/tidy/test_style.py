"""Sizes, names, docstrings, globals and words: what a machine can check of the house style."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "haneul"
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
BANNED_WORDS = re.compile(r"\b(todo|fixme|xxx|hack|for now|stub|placeholder|simplified|not yet supported)\b", re.I)
CLOCKS = re.compile(
    r"\b(time\.time\(|time\.monotonic\(|datetime\.(now|utcnow)\(|asyncio\.sleep\(|random\.(random|choice|randint)\(|uuid\.uuid4\()"
)
# Rooms that live below Env: the clock itself, and what runs in processes of its own without an event loop.
OWN_CLOCK = ("base/env.py", "sandbox/boot/", "sandbox/daemon", "sandbox/zygote", "cli/")
REGISTRIES = re.compile(
    r"(pypi\.org|files\.pythonhosted|registry\.npmjs|crates\.io/api|proxy\.golang|repo\.maven|deb\.debian)", re.I
)


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_file_holds_one_idea(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")

    assert lines <= FILE_LINES_MAX, f"{name_of(path)} has {lines} lines: it holds two ideas"
    assert path.stem not in BANNED_MODULES and not path.stem.startswith("base_")


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_function_does_one_thing(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{name_of(path)}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_docstring_opens_every_module(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{name_of(path)} says nothing about itself"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_module_keeps_state(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"{name_of(path)}:{node.lineno} changes a global"
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(
            statement.value, ast.List | ast.Dict | ast.Set
        ):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                constant = isinstance(target, ast.Name) and (
                    target.id.lstrip("_").isupper() or target.id.startswith("__")
                )
                assert constant, f"{name_of(path)}:{statement.lineno} a module-level container must be a CONSTANT"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_line_promises_or_excuses(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert not BANNED_WORDS.search(line), f"{name_of(path)}:{number}: {line.strip()}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_time_and_randomness_come_from_env(path: Path) -> None:
    if name_of(path).startswith(OWN_CLOCK):
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert not CLOCKS.search(line), f"{name_of(path)}:{number}: {line.strip()}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_nothing_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
            everything = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
            assert not everything, f"{name_of(path)}:{node.lineno} swallows everything"


def test_tests_do_not_sleep_or_patch() -> None:
    slow = re.compile(r"\b(time|asyncio)\.sleep\((?!0\))")
    for path in sorted((ROOT / "tests").rglob("*.py")):
        relative = str(path.relative_to(ROOT / "tests"))
        text = path.read_text(encoding="utf-8")
        if not relative.startswith("tidy/"):
            assert "mock.patch" not in text, f"{relative} patches"
        if not relative.startswith(("e2e/", "crash/", "escape/", "browser/", "tidy/")):
            assert not slow.search(text), f"{relative} sleeps: move the clock instead"


def test_no_file_names_a_registry_or_this_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: the list of files is unknown")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if name == "tests/tidy/test_style.py" or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        assert not REGISTRIES.search(text), f"{name} names a package registry"
        assert "/work/main" not in text and "/tmp/hv" not in text, f"{name} names a path of one machine"


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=lambda command: " ".join(command),
)
def test_the_checkers_are_content(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
