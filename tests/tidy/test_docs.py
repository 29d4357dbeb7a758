"""Documentation that agrees with the code: every dependency has its reason, every page it names exists."""

import re
import tomllib
from pathlib import Path

import pytest

from haneul.base.config import Config

ROOT = Path(__file__).parents[2]


def dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    return sorted({re.split(r"[<>=;\[ ]", line)[0] for line in listed})


@pytest.mark.parametrize("name", dependencies())
def test_every_dependency_has_its_reason(name: str) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")

    assert re.search(rf"\| `{re.escape(name)}` \|", page, re.I), f"{name} has no row in docs/dependencies.md"


def test_links_between_pages_lead_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "src").rglob("*.md")),
    ]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_the_changelog_grows() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert "## Unreleased" in text and "- " in text


def test_every_setting_has_its_row() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    for name in Config.__struct_fields__:
        assert f"`{name}`" in page, f"docs/configuration.md does not tell of {name}"
