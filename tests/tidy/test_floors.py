"""Imports go down the floors, never up, never sideways, never inside a function."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "haneul"
FLOORS = {
    "base": 0,
    "storage": 1,
    "sandbox": 1,
    "gateway": 1,
    "cluster": 1,
    "engines": 2,
    "clouds": 3,
    "app": 4,
    "rooms": 4,
    "console": 4,
    "cli": 5,
    "__main__": 6,
}
# Where a lazy import is the design: the command line, the service loader, and what runs alone inside a sandbox.
LAZY = ("cli/", "clouds/aws/services/__init__.py", "sandbox/boot/", "sandbox/zygote.py", "sandbox/daemon.py")
# Libraries that are needed rarely and cost much to import are loaded by the one file that wraps each of them.
LAZY_LIBRARIES = {"cryptography", "awscrt", "uvloop", "ssl", "tomllib"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> tuple[str, str]:
    """The floor and the room of a module: ("engines", "objects")."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0], parts[1] if len(parts) > 2 else ""


def imports(path: Path) -> list[tuple[ast.stmt, str, bool]]:
    """(statement, absolute module, inside a function) for each import, those for type checking only left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ("haneul", *path.relative_to(SOURCE).parts[:-1])
    found: list[tuple[ast.stmt, str, bool]] = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend((node, alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            found.extend((node, f"{module}.{alias.name}", inside) for alias in node.names)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, False)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_the_floors(path: Path) -> None:
    floor, name = room(path)
    for statement, module, _ in imports(path):
        parts = module.split(".")
        if parts[0] != "haneul" or len(parts) < 2 or parts[1] not in FLOORS:
            continue
        where = f"{path.relative_to(SOURCE)}:{statement.lineno} imports {module}"
        if floor == "__init__":
            continue
        assert FLOORS[parts[1]] <= FLOORS[floor], f"{where}: upward"
        same_level = FLOORS[parts[1]] == FLOORS[floor] and parts[1] != floor
        assert not same_level or {floor, parts[1]} <= {"app", "rooms", "console"}, (
            f"{where}: sideways, to a room of the same floor"
        )
        if floor == "engines" == parts[1] and name:
            other = parts[2] if len(parts) > 2 else ""
            assert other == name, f"{where}: engines do not import each other"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_import_hides_inside_a_function(path: Path) -> None:
    relative = str(path.relative_to(SOURCE))
    if relative.startswith(LAZY):
        return
    for statement, module, inside in imports(path):
        allowed = module.split(".")[0] in LAZY_LIBRARIES
        assert not inside or allowed, f"{relative}:{statement.lineno} imports {module} inside a function"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_imports_botocore(path: Path) -> None:
    if path.relative_to(SOURCE).parts[0] == "cli":
        return  # the command line is a client like any other
    for statement, module, _ in imports(path):
        first = module.split(".")[0]
        assert first not in ("botocore", "boto3"), f"{path}:{statement.lineno}: read the model's data files instead"
