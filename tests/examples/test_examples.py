"""The examples run as a reader would run them, with a recipe of every method that trains."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kompakt.strategy import Recipe, builtin_recipes, load_recipe

ROOT = Path(__file__).parents[2]
LONGEST = 33  # lines of code: a screenful
LEAST_TOP1 = 90.0  # percent; the float network has 98, one bit costs some of it
WITH_A_TRAINER = {"lightning_trainer": ("lightning",), "huggingface_trainer": ("transformers", "accelerate")}


def trained_recipes() -> dict[str, str]:
    """Method -> a recipe with training that uses it: built-in ones first."""
    found: dict[str, str] = {}
    for path in (*builtin_recipes().values(), *sorted(ROOT.glob("recipes/resnet20-*.toml"))):
        recipe: Recipe = load_recipe(path)
        if recipe.train.epochs:
            found.setdefault(recipe.stage[0].method, str(path))
    return found


RECIPES = trained_recipes()


def run(name: str, recipe: str, folder: Path) -> str:
    """What an example prints last."""
    outcome = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", recipe],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr[-4000:]
    assert (folder / "digits.kpt").is_file()
    return outcome.stdout.strip().splitlines()[-1]


def check(line: str) -> None:
    """The file is small and accurate."""
    match = re.fullmatch(r".+: float ([\d.]+) %, engine ([\d.]+) %, ([\d,]+) bytes", line)
    assert match is not None, line
    before, after, size = (float(number.replace(",", "")) for number in match.groups())
    assert before > 95, line
    assert after > LEAST_TOP1, line
    assert size < 35_000, line  # 70,000 in float


@pytest.mark.parametrize("name", ["plain_pytorch", *WITH_A_TRAINER])
def test_an_example_is_short(name: str) -> None:
    lines = (ROOT / "examples" / f"{name}.py").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith('"""')]) <= LONGEST


@pytest.mark.slow
@pytest.mark.parametrize("method", RECIPES)
def test_a_loop_of_your_own(method: str, tmp_path: Path) -> None:
    check(run("plain_pytorch", RECIPES[method], tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lq_nets", "adaqat"])
@pytest.mark.parametrize("name", WITH_A_TRAINER)
def test_a_trainer_of_others(name: str, method: str, tmp_path: Path) -> None:
    missing = [package for package in WITH_A_TRAINER[name] if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; pip install -c constraints.txt 'kompakt[examples]'")
    check(run(name, RECIPES[method], tmp_path))
