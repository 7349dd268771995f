"""Recipes: one TOML file is one run. Unknown keys and impossible values are refused before any work starts."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .._core.errors import RecipeError, nearest
from ..train import TrainSettings

FloatOr8 = Literal["float", 2, 3, 4, 5, 6, 7, 8]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Model(Strict):
    """`zoo:NAME` (a pretrained network), `FILE.py:FUNCTION` (returns a module), or `given` (handed over in Python).

    `start`: folder of a finished run of the same network whose trained weights and quantizers are the start.
    """

    source: str = "given"
    start: str = ""


class Data(Strict):
    """`cifar10`, `digits`, `FILE.py:FUNCTION` (returns a Dataset), or `given`.

    `calibration`: images that start the quantizers.
    """

    source: str = "given"
    calibration: int = Field(default=256, ge=1)


class Override(Strict):
    """Other settings for layers whose names match the pattern `layers`."""

    layers: str
    method: str | None = None
    weight_bits: int | Literal["float"] | None = None
    activation_bits: int | Literal["float"] | None = None


class QuantizeStage(Strict):
    """Quantizers on weights and activations.

    `first_last` bits of the first and the last layer; `residual_bits` of values that shortcuts and pools read.
    "float" leaves that part in float32.
    """

    kind: Literal["quantize"]
    method: str
    weight_bits: int | Literal["float"] = 2
    activation_bits: int | Literal["float"] = 2
    first_last: FloatOr8 = 8
    residual_bits: FloatOr8 = 8
    override: list[Override] = []


class Train(Strict):
    """See `kompakt.train.TrainSettings`; `epochs = 0` means no training."""

    epochs: int = Field(default=10, ge=0)
    batch_size: int = Field(default=128, ge=1)
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(default=0.04, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = Field(default=0.0, ge=0)
    distill: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0)
    last_stage_epochs: int = Field(default=2, ge=0)
    evaluate_every: int = Field(default=5, ge=1)
    bf16: bool = True
    compile: bool = True
    checkpoint_s: float = Field(default=60.0, gt=0)


class Published(Strict):
    """A published accuracy in percent and where it stands; shown beside ours, never mixed with it."""

    value: float
    source: str


class Output(Strict):
    """Run folder; empty: `runs/NAME`."""

    folder: str = ""


class Recipe(Strict):
    """A whole run."""

    version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")
    seed: int = Field(default=0, ge=0)
    protocol: Literal["ptq", "short", "long", "published-schedule"] = "short"
    model: Model = Model()
    data: Data = Data()
    stage: list[QuantizeStage] = Field(min_length=1, max_length=1)
    train: Train = Train()
    published: Published | None = None
    goal_top1: float | None = Field(None, ge=0, le=100)
    output: Output = Output()

    def train_settings(self) -> TrainSettings:
        return TrainSettings(seed=self.seed, **self.train.model_dump())

    def fingerprint(self) -> str:
        """Digest of all that the trained weights depend on (not of names, folders and how often state is saved)."""
        content = self.model_dump(include={"seed", "model", "data", "stage", "train"})
        for key in ("checkpoint_s", "evaluate_every"):
            del content["train"][key]
        if not self.model.start:
            del content["model"]["start"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def folder(self) -> Path:
        return Path(self.output.folder or f"runs/{self.name}")


def load_recipe(source: str | Path, settings: dict[str, object] | None = None) -> Recipe:
    """Read a recipe file, or a built-in one by name; `settings` such as {"train.epochs": 3} override it.

    Raises: RecipeError naming the key, what was expected and the nearest valid names.
    """
    path = Path(source)
    if not path.suffix and not path.exists():
        path = builtin_recipes().get(str(source), path)
    if not path.is_file():
        known = nearest(str(source), builtin_recipes())
        raise RecipeError(f"{source}: neither a recipe file nor a built-in recipe; {known}")
    try:
        raw = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None
    return parse_recipe(raw, settings or {}, str(source))


def parse_recipe(raw: dict[str, Any], settings: dict[str, object], where: str = "recipe") -> Recipe:
    """Validate a recipe given as nested tables. Raises: RecipeError."""
    for key, value in settings.items():
        _set(raw, key.split("."), value, where)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error)}") from None


def builtin_recipes() -> dict[str, Path]:
    """Name to file of the recipes that come with the package."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}


def matching(pattern: str, names: list[str]) -> list[str]:
    """The names that a pattern matches. Raises: RecipeError if none does."""
    found = fnmatch.filter(names, pattern)
    if not found:
        raise RecipeError(f"pattern {pattern!r} matches 0 of {len(names)} layers; {nearest(pattern, names)}")
    return found


def _set(raw: dict[str, Any], keys: list[str], value: object, where: str) -> None:
    table: object = raw
    for key in keys[:-1]:
        if isinstance(table, list) and key.isdigit() and int(key) < len(table):
            table = table[int(key)]
        elif isinstance(table, dict):
            table = table.setdefault(key, {})
        if not isinstance(table, dict | list):
            raise RecipeError(f"{where}: {'.'.join(keys)}: {key} is a value, not a table")
    if isinstance(table, list):  # `stage.method` means the only stage
        table = table[0]
    table[keys[-1]] = value  # type: ignore[index]


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {nearest(str(problem['loc'][-1]), _keys_at(problem['loc'][:-1]))}"
    return f"{place}: {problem['msg']}, got {problem.get('input')!r}"


def _keys_at(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    tables: dict[str, type[BaseModel]] = {
        "model": Model, "data": Data, "stage": QuantizeStage, "train": Train, "published": Published, "output": Output,
        "override": Override,
    }  # fmt: skip
    for part in place:
        model = tables.get(str(part), model)
    return list(model.model_fields)
