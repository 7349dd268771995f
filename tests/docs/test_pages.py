"""Documents agree with the tables of the code, and with each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kompakt
from kompakt.artifact.ops import OPS
from kompakt.cli.app import cli
from kompakt.quant import METHODS
from kompakt.quant.quantizer import GRIDS, RULES, SURROGATES
from kompakt.strategy import builtin_recipes
from kompakt.strategy.recipe import Data, Model, Output, Override, Published, QuantizeStage, Recipe, Train

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    generated = {"docs/results.md"}
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        assert path.exists() or str(path.relative_to(ROOT)) in generated, f"{page.name}: {target}"


def test_every_method_has_its_row_and_section() -> None:
    page = text("docs/systems.md")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    sections = re.findall(r"^## `(\w+)`$", page, re.MULTILINE)
    assert rows == sections == list(METHODS)
    for name in sections:
        section = page.split(f"## `{name}`")[1].split("\n## ")[0]
        assert all(part in section for part in ("**Implemented.**", "**Deviates.**", "**Verified.**"))
        assert all((ROOT / path).is_file() for path in re.findall(r"`(tests/[^`]+)`", section))


def test_every_recipe_is_named_beside_its_method() -> None:
    import tomllib

    page = text("docs/systems.md")
    for name, path in builtin_recipes().items():
        method = tomllib.loads(path.read_text())["stage"][0]["method"]
        row = next(line for line in page.splitlines() if line.startswith(f"| `{method}` |"))
        assert f"`{name}`" in row


def test_every_key_of_a_recipe_is_documented() -> None:
    page = text("docs/adding.md")
    for table in (Recipe, Model, Data, QuantizeStage, Override, Train, Published, Output):
        for key in table.model_fields:
            assert re.search(rf"[`\[.]{key}[`\] ]", page), f"{table.__name__}.{key}"


def test_every_command_is_in_the_readme_and_changelog() -> None:
    for name in cli.commands:
        assert f"`kompakt {name}" in text("README.md") or f"`{name}`" in text("README.md"), name
        assert f"`{name}`" in text("CHANGELOG.md"), name


def test_parts_and_public_names_are_on_the_one_page() -> None:
    page = text("docs/one_page.md")
    for name in (*GRIDS, *RULES, *SURROGATES):
        assert f"`{name}`" in page
    for name in kompakt.__all__:
        assert re.search(rf"\b{name}\b", page), name


def test_the_changelog_counts_the_operators() -> None:
    assert f"{len(OPS)} operators" in text("CHANGELOG.md")
