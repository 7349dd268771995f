"""Result records, typed and checked: one JSON file per run, and one per benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..._core.errors import DataError
from ...strategy.recipe import Protocol

Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[float, Field(ge=0)]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _as_text(value: Any) -> Any:
    return ", ".join(str(part) for part in value.values() if part) if isinstance(value, dict) else value


class Record(BaseModel):
    """A JSON object; keys that the page does not print are allowed, missing and mistyped ones are not."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class Published(Record):
    """Somebody else's number: percent, and where it is printed."""

    value: Percent
    source: str


class Agreement(Record):
    """The fake-quantized network and the engine, code by code (docs/numerics.md, "Agreement with the simulation").

    Attributes:
        bits: of the file, where it has several.
        argmax_equal: of `images`. codes_at_boundary, codes_wrong: of `codes_compared`.
    """

    bits: int | None = None
    images: Count
    argmax_equal: Count
    max_abs_logit_difference: Count
    codes_compared: Count
    codes_at_boundary: Count
    codes_wrong: Count

    @property
    def is_complete(self) -> bool:
        """Whether every image has the same class, and every other code lies where rounding decides."""
        return self.argmax_equal == self.images and not self.codes_wrong


class AccuracyRecord(Record):
    """One training run measured in the engine. Accuracies in percent, sizes in bytes.

    Attributes:
        bits: part of the network -> bit-width, e.g. {"weights": 2, "activations": 2, "first_last": 8}.
        mean_bits: "weights" averaged over weights, "activations" over multiply-adds, both ends included.
        protocol: how long it was trained, a key of `PROTOCOLS`.
        teacher: who taught it, where it was not the float network. start: whose trained state it went on from.
        engine_top1: one number per seed. float_top1: None where training began from random weights.
        goal_top1: what the run was meant to reach; it stays in the table whether reached or not. goal_remark: why not.
        file_breakdown: part of the file -> bytes.
        latency_ratio: peer -> its time divided by ours.
        float_bits, engine_bits: of a language model, bits per step; its top-1 is the share of right next ones.
        reads_tokens: whether its inputs are numbers of tokens (words), which are measured by perplexity.
        widths: of a file with several bit-widths, bit-width -> top-1 in the engine.
        agreement: of the network that was trained and the engine, at every bit-width of the file.
    """

    system: str
    recipe: str
    model: str
    dataset: str
    bits: dict[str, int | float | str]
    mean_bits: dict[str, Count] = {}
    protocol: Protocol
    epochs: Count | None = None
    teacher: str = ""
    start: str = ""
    seeds: Annotated[list[int], BeforeValidator(_as_list), Field(min_length=1)]
    engine_top1: Annotated[list[Percent], BeforeValidator(_as_list), Field(min_length=1)]
    float_top1: Percent | None
    file_bytes: Count
    float_bytes: Count
    commit: str | None = None
    machine: Annotated[str | None, BeforeValidator(_as_text)] = None
    train_s: Count | None = None
    train_threads: Count | None = None
    published: Published | None = None
    goal_top1: Percent | None = None
    goal_remark: str = ""
    file_breakdown: dict[str, Count] = {}
    macs: Count | None = None
    bops: Count | None = None
    latency_ratio: dict[str, float] | None = None
    float_bits: Count | None = None
    engine_bits: Count | None = None
    reads_tokens: bool = False
    widths: dict[int, Percent] = {}
    agreement: list[Agreement] = []

    @model_validator(mode="after")
    def _check(self) -> AccuracyRecord:
        if len(self.seeds) != len(self.engine_top1):
            raise ValueError(f"expected one accuracy per seed, got {len(self.engine_top1)} for {len(self.seeds)} seeds")
        return self


class PtqRow(Record):
    """A tool that quantizes to int8 after training, measured by `benchmarks/ptq.py`.

    Attributes:
        top1: percent, one per calibration seed. seconds: to quantize, one per seed.
        ratio: its time per image divided by ours; None for ours.
    """

    tool: str
    top1: Annotated[list[Percent], Field(min_length=1)]
    seconds: Annotated[list[Count], Field(min_length=1)]
    bytes: Count
    ratio: float | None = None
    ratio_band: tuple[float, float] | None = None


class PtqRecord(Record):
    """One network quantized after training by every tool; the first row is ours."""

    net: str
    data: str
    calibration_images: int
    float_top1: Percent
    rows: Annotated[list[PtqRow], Field(min_length=1)]


class BenchRow(Record):
    """A row as `Row.to_dict` writes it."""

    engine: str
    threads: int
    batch: int
    clock: str
    ms_p10: float
    ms_median: float
    ratio: float
    ratio_band: tuple[float, float]
    ratio_interval: tuple[float, float]
    snr_db: float | None


class BenchRecord(Record):
    """A benchmark as `BenchResult.to_dict` writes it."""

    net: str
    isa: str
    bits: str = ""
    hidden: dict[str, str] = {}
    rows: list[BenchRow]
    aa_rows: list[BenchRow]
    sentences: list[str]
    absent: dict[str, str] = {}
    how: dict[str, str] = {}
    file: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    machine: dict[str, Any] = {}


class Goal(Record):
    """What a speed is meant to be, written by people in `benchmarks/goals.json`.

    Attributes:
        goal: in words. net, bits, threads, batch: of the benchmark that decides it.
        against: peers; the fastest of those that were measured counts.
        ratio: processor (a word of `COLUMNS`) -> the ratio to reach.
        bounds: processor -> what limits ours where the goal is missed, measured, and what was tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    goal: str
    net: str
    bits: str
    threads: int = 1
    batch: int = 1
    against: Annotated[list[str], Field(min_length=1)]
    ratio: dict[Literal["amx", "avx512", "avx2"], Annotated[float, Field(gt=0)]]
    bounds: dict[Literal["amx", "avx512", "avx2"], str] = {}


class FigureRecord(Record):
    """A measurement of Kompakt alone, as the scripts in `benchmarks/` write it.

    Attributes:
        relation: "<=" or ">=": how the value has to stand to the goal. band: 10 to 90 % of its repetitions.
    """

    name: str
    value: float
    unit: str
    relation: Literal["<=", ">="] = "<="
    goal: float | None = None
    band: tuple[float, float] | None = None
    how: str = ""
    bound: str = ""
    isa: str = ""
    machine: str = ""
    commit: str | None = None

    @property
    def is_reached(self) -> bool:
        return self.goal is None or (self.value <= self.goal if self.relation == "<=" else self.value >= self.goal)


class TrainingRecord(Record):
    """A method's training step beside the step of the same net without quantizers, by `benchmarks/training_step.py`.

    Attributes:
        ms, float_ms: median of a step with quantizers and without. ratio: median of the paired ratios.
        aa_ratio: of the net without quantizers against a copy of itself. ratio_band, aa_band: 10 to 90 % of the pairs.
        goal: the ratio to stay below; None for methods that search while they train, which `remark` then says.
    """

    method: str
    recipe: str
    net: str
    bits: str
    threads: int
    ms: float
    float_ms: float
    ratio: float
    ratio_band: tuple[float, float]
    aa_ratio: float
    aa_band: tuple[float, float]
    goal: float | None = None
    remark: str = ""


Kind = TypeVar("Kind", bound=Record)


def parse(records: Sequence[dict[str, Any]], kind: type[Kind], where: Sequence[str] = ()) -> list[Kind]:
    """Records as objects.

    Args:
        where: a name per record for error messages; its position by default.
    Raises: DataError naming record, field and what came.
    """
    parsed = []
    for index, record in enumerate(records):
        try:
            parsed.append(kind.model_validate(record))
        except ValidationError as error:
            first = error.errors()[0]
            name = where[index] if where else f"record {index}"
            field = ".".join(map(str, first["loc"])) or "record"
            raise DataError(f"{name}: {field}: {first['msg']}, got {str(first['input'])[:60]!r}") from error
    return parsed


def read_list(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON file that holds a list of them; none where it is missing. Raises: DataError."""
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of records, got {type(content).__name__}")
    return content


def read_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> content of every `*.json` in `folder`, by name. Raises: DataError for a file that is not JSON."""
    records = {}
    for path in sorted(folder.glob("*.json")):
        try:
            records[path.name] = json.loads(path.read_text())
        except ValueError as error:
            raise DataError(f"{path}: not JSON ({error}); records are written by the commands, not by hand") from error
    return records
