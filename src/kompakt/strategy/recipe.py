"""Recipes: one TOML file is one run. Unknown keys and impossible values are refused before any work starts."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from .._core.errors import RecipeError, nearest
from ..quant import METHODS, method
from ..quant.bit_costs import Criterion
from ..quant.correct import Rounding
from ..quant.quantizer import WEIGHTS
from ..train import TrainSettings
from .overrides import override

Bits = StrictInt | Literal["float"]
FloatOr8 = Literal["float", 2, 3, 4, 5, 6, 7, 8]
Protocol = Literal["ptq", "short", "long", "published-schedule"]


class Strict(BaseModel):
    """A table that refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def _check_bits(name: str, **choices: Bits | None) -> None:
    possible = method(name).bits
    for key, bits in choices.items():
        if isinstance(bits, int) and bits not in possible:
            raise RecipeError(f'{key} must be one of {possible} for {name!r}, or "float", got {bits}')


class Model(Strict):
    """`zoo:NAME` (a pretrained network), `FILE.py:FUNCTION` (returns a module), or `given` (handed over in Python).

    `start`: folder of a finished run of the same network whose trained weights and quantizers are the start, or
    `zoo:NAME`, a pretrained network whose card describes its quantizers.
    """

    source: str = "given"
    start: str = ""


class Data(Strict):
    """a data set's name (`cifar10`, `mnist`, ..), `FILE.py:FUNCTION` (returns a Dataset), or `given`.

    `calibration`: images that start the quantizers; every seed takes the next ones.
    """

    source: str = "given"
    calibration: int = Field(default=256, ge=1)


class Override(Strict):
    """Other settings for layers whose names match the pattern `layers`.

    `activation_method`: of activations, where it is not `method`.
    """

    layers: str
    method: str | None = None
    activation_method: str | None = None
    weight_bits: Bits | None = None
    activation_bits: Bits | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> Override:
        for name, key in ((self.method, "weight_bits"), (self.method_of_activations, "activation_bits")):
            if name is not None:
                _check_bits(name, **{key: getattr(self, key)})
        return self

    @property
    def method_of_activations(self) -> str | None:
        """`activation_method`, or the override's method."""
        return self.activation_method or self.method


class QuantizeStage(Strict):
    """Quantizers on weights and activations.

    `activation_method`: of activations, where it is not `method`. `first_last` bits of the first and the last layer and
    `residual_bits` of values that shortcuts and inner pools read, both by `edge_method`. "float": as it is.

    `lower_bits`: further bit-widths of inner layers and their activations, below `weight_bits`, over the same weights;
    one file holds all, and the engine changes between them (method `adaptive`).

    `shared_inputs`: layers that read the same value share its quantizer; false: each has its own.

    `batch_norm = "shift"`: batch-norms that multiply by powers of two, in training and in the engine.

    `weight_bits = "mixed"`: each layer gets the bits that lose least by its measured sensitivity, on average
    `mean_bits` per weight; both ends keep theirs.

    Methods that choose bit-widths while they train start with `weight_bits` and `activation_bits`. `mean_bits` is the
    budget per weight of those that assign bits; `bit_cost`: what a bit costs: the same everywhere, or by multiply-adds
    or bytes.

    `hard_share`: this share of the inner layers' weights, in the layers that gain most by it, gets `hard_method` at
    `hard_bits`, and activations at `hard_activation_bits` if given; 0: none. Two 4-bit tensors count as 8 bits.

    Without training: `equalize` shares ranges between neighbouring layers before, `rounding` ("nearest" or "gptq") and
    `scale_correction` and `bias_correction` fit the quantized layers to the float ones on the calibration images.
    `requantize = "shift"`: with methods whose steps are powers of two, a joint search of all of them, and whole biases,
    so that sums become codes by shifts alone.
    """

    kind: Literal["quantize"]
    method: str
    activation_method: str | None = None
    weight_bits: Bits | Literal["mixed"] = 2
    mean_bits: float = Field(default=4.0, ge=1, le=8)
    activation_bits: Bits = 2
    lower_bits: list[StrictInt] = []
    bit_cost: Criterion = "bits"
    edge_method: str = "lsq"
    first_last: FloatOr8 = 8
    residual_bits: FloatOr8 = 8
    shared_inputs: bool = True
    batch_norm: Literal["exact", "shift"] = "exact"
    hard_share: float = Field(default=0.0, ge=0, le=1)
    hard_method: str = "mmse_dual"
    hard_bits: StrictInt = 8
    hard_activation_bits: StrictInt | None = None
    requantize: Literal["scale", "shift"] = "scale"
    equalize: bool = False
    rounding: Rounding = "nearest"
    scale_correction: bool = False
    bias_correction: bool = False
    override: list[Override] = []

    @property
    def measures_layers(self) -> bool:
        """Whether layers get bits by what they lose on data."""
        return self.weight_bits == "mixed" or self.hard_share > 0

    @property
    def method_of_activations(self) -> str:
        """`activation_method`, or the stage's method."""
        return self.activation_method or self.method

    @model_validator(mode="after")
    def _is_possible(self) -> QuantizeStage:
        if self.weight_bits != "mixed":
            _check_bits(self.method, weight_bits=self.weight_bits)
        _check_bits(self.method_of_activations, activation_bits=self.activation_bits)
        _check_bits(self.hard_method, hard_bits=self.hard_bits)
        _check_bits(self.method_of_activations, hard_activation_bits=self.hard_activation_bits)
        if self.hard_share and not isinstance(self.weight_bits, int):
            raise RecipeError(f"hard_share is for layers of one bit-width, got weight_bits = {self.weight_bits!r}")
        _check_bits(self.edge_method, first_last=self.first_last, residual_bits=self.residual_bits)
        if self.activation_bits != "float" and method(self.method_of_activations).roles == {WEIGHTS}:
            raise RecipeError(f"method {self.method_of_activations!r} is for weights; name an activation_method")
        if self.weight_bits != "float" and WEIGHTS not in method(self.method).roles:
            raise RecipeError(f"method {self.method!r} is for activations; make it the activation_method")
        if self.batch_norm == "shift" and (self.equalize or self.requantize == "shift"):
            raise RecipeError('equalize and requantize = "shift" fold batch-norms away; leave batch_norm = "exact"')
        if self.requantize == "shift":
            self._check_shifts()
        if self.lower_bits:
            self._check_lower_bits()
        return self

    def at(self, bits: int) -> QuantizeStage:
        """The stage of one bit-width, of a network of several. Activations that are float stay so."""
        activation_bits = self.activation_bits if self.activation_bits == "float" else bits
        return self.model_copy(update={"weight_bits": bits, "activation_bits": activation_bits, "lower_bits": []})

    def _check_lower_bits(self) -> None:
        all_bits = [self.weight_bits, *self.lower_bits]
        if not isinstance(self.weight_bits, int) or sorted({*self.lower_bits, self.weight_bits}) != all_bits[::-1]:
            raise RecipeError(f"lower_bits descend, below weight_bits; got {self.lower_bits} and {self.weight_bits!r}")
        for bits in self.lower_bits:
            _check_bits(self.method, lower_bits=bits)
            _check_bits(self.method_of_activations, lower_bits=bits)
        if self.activation_bits not in ("float", self.weight_bits):
            raise RecipeError(
                f"with lower_bits activation_bits is {self.weight_bits} or float; got {self.activation_bits}"
            )
        if "nested" not in method(self.method).claims:
            known = ", ".join(key for key, parts in METHODS.items() if "nested" in parts.claims)
            raise RecipeError(f"lower_bits need a method whose codes are nested ({known}), got {self.method!r}")
        for key in ("hard_share", "equalize", "rounding", "requantize", "scale_correction", "bias_correction"):
            if getattr(self, key) != QuantizeStage.model_fields[key].default:
                raise RecipeError(f"lower_bits share their weights, which {key} would change; leave it out")

    def _check_shifts(self) -> None:
        overrides = [name for other in self.override for name in (other.method, other.activation_method) if name]
        hard = [self.hard_method] if self.hard_share else []
        for name in (self.method, self.method_of_activations, self.edge_method, *hard, *overrides):
            if "dyadic" not in method(name).claims:
                known = ", ".join(key for key, parts in METHODS.items() if "dyadic" in parts.claims)
                raise RecipeError(f'requantize = "shift" needs steps that are powers of two ({known}), got {name!r}')
        if "float" in (self.weight_bits, self.activation_bits, self.first_last, self.residual_bits):
            raise RecipeError('requantize = "shift" needs bits for weights and activations everywhere, got "float"')
        if self.scale_correction:
            raise RecipeError('requantize = "shift" keeps its powers of two; set scale_correction = false')


# Keys that runs of earlier versions did not have: at their default they leave no trace in the fingerprint.
ADDED_LATER = {
    "activation_method", "bit_cost", "mean_bits", "edge_method", "equalize", "rounding", "bias_correction",
    "requantize", "scale_correction", "shared_inputs", "batch_norm", "lower_bits", "hard_share", "hard_method",
    "hard_bits", "hard_activation_bits",
}  # fmt: skip


# How often state is saved and looked at, and where it is computed.
NOT_IN_WEIGHTS: dict[str, Any] = {key: {"checkpoint_s", "device", "evaluate_every"} for key in ("train", "pretrain")}


class Optimization(Strict):
    """What every training has, see `kompakt.train.TrainSettings`."""

    epochs: int = Field(default=10, ge=0)
    batch_size: int = Field(default=128, ge=1)
    optimizer: Literal["sgd", "adam", "shift_adamax"] = "sgd"
    lr: float = Field(default=0.04, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = Field(default=0.0, ge=0)
    evaluate_every: int = Field(default=5, ge=1)
    bf16: bool = True
    compile: bool = True
    checkpoint_s: float = Field(default=60.0, gt=0)
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Train(Optimization):
    """Training with quantizers; `epochs = 0` means none.

    `teacher`: `zoo:NAME` or `FILE.py:FUNCTION`, the network that `distill` compares with; empty: the float network.
    """

    distill: float = Field(default=0.5, ge=0, le=1)
    teacher: str = ""
    temperature: float = Field(default=1.0, gt=0)
    penalty: float = Field(default=1.0, ge=0)
    swap: float = Field(default=0.0, ge=0, le=1)
    width_teacher: Literal["best", "highest", "next"] = "best"
    gradient_bits: Literal[2, 3, 4, 5, 6, 7, 8, 32] = 32
    last_stage_epochs: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _is_taught(self) -> Train:
        if self.teacher and self.distill == 0:
            raise RecipeError(f"teacher {self.teacher!r} has no say where distill is 0; raise distill or leave it out")
        return self


class Published(Strict):
    """A published accuracy in percent and where it stands; shown beside ours, never mixed with it."""

    value: float
    source: str


class Output(Strict):
    """Run folder; empty: `runs/NAME`."""

    folder: str = ""


class Recipe(Strict):
    """A whole run.

    `pretrain`: training of the float network as it comes, before it is quantized. `goal_remark`: why the goal was
    missed, where it was; for the results page.
    """

    version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$")
    seed: int = Field(default=0, ge=0)
    protocol: Protocol = "short"
    model: Model = Model()
    data: Data = Data()
    stage: list[QuantizeStage] = Field(min_length=1, max_length=1)
    pretrain: Optimization | None = None
    train: Train = Train()
    published: Published | None = None
    goal_top1: float | None = Field(None, ge=0, le=100)
    goal_remark: str = ""
    output: Output = Output()

    @model_validator(mode="after")
    def _is_trainable(self) -> Recipe:
        if self.train.epochs and any(stage.requantize == "shift" for stage in self.stage):
            raise RecipeError(
                f'requantize = "shift" is without training; set train.epochs = 0, got {self.train.epochs}'
            )
        return self

    def train_settings(self) -> TrainSettings:
        """The settings of the training stage."""
        return TrainSettings(seed=self.seed, **self.train.model_dump(exclude={"teacher"}))

    def float_settings(self) -> TrainSettings | None:
        """The settings of the float training before; None if there is none."""
        if self.pretrain is None:
            return None
        return TrainSettings(seed=self.seed, distill=0.0, last_stage_epochs=0, **self.pretrain.model_dump())

    def float_fingerprint(self) -> str:
        """Digest of all that the weights of the float training before depend on."""
        return _digest(self.model_dump(include={"seed", "model", "data", "pretrain"}, exclude=NOT_IN_WEIGHTS))

    def fingerprint(self) -> str:
        """Digest of all that the trained weights depend on (not of names, folders and how often state is saved)."""
        trained = {"seed", "model", "data", "stage", "train", "pretrain"}
        content = self.model_dump(include=trained, exclude=NOT_IN_WEIGHTS)
        if self.pretrain is None:
            del content["pretrain"]
        for key in ("teacher", "penalty", "swap", "width_teacher", "gradient_bits"):
            if content["train"][key] == Train.model_fields[key].default:
                del content["train"][key]
        if not self.model.start:
            del content["model"]["start"]
        for stage in content["stage"]:
            for key in ADDED_LATER & {k for k, v in stage.items() if v == QuantizeStage.model_fields[k].default}:
                del stage[key]
            for other in stage["override"]:
                if other["activation_method"] is None:
                    del other["activation_method"]
        return _digest(content)

    def folder(self) -> Path:
        """The run folder."""
        return Path(self.output.folder or f"runs/{self.name}")


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
    """Validate a recipe given as nested tables, which stay as they are. Raises: RecipeError."""
    try:
        return Recipe.model_validate(override(raw, settings, where))
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


def _explain(error: ValidationError) -> str:
    """The first problem: key, what was expected, what came, nearest valid names."""
    problem = error.errors()[0]
    keys, kind = [part for part in problem["loc"] if not _is_tag(part)], problem["type"]
    place = ".".join(map(str, keys))
    if kind == "extra_forbidden":
        return f"unknown key {place!r}; {nearest(str(keys[-1]), _keys_at(keys[:-1]))}"
    if kind == "missing":
        return f"key {place!r} is missing"
    if kind == "value_error":
        return f"{place}: {problem['ctx']['error']}"
    message = problem["msg"] if len(keys) == len(problem["loc"]) else 'must be a whole number or "float"'
    return f"{place}: {message}, got {problem.get('input')!r}"


def _is_tag(part: int | str) -> bool:
    """Whether a part of a place names the alternative of a union instead of a key."""
    return part == "int" or str(part).startswith("literal[")


def _keys_at(place: list[int | str]) -> list[str]:
    model: type[BaseModel] = Recipe
    tables: dict[str, type[BaseModel]] = {
        "model": Model, "data": Data, "stage": QuantizeStage, "train": Train, "published": Published, "output": Output,
        "override": Override, "pretrain": Optimization,
    }  # fmt: skip
    for part in place:
        model = tables.get(str(part), model)
    return list(model.model_fields)
