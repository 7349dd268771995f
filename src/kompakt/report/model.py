"""What a run says about itself: `result.json` as typed, checked records. Most of it may be missing."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .._core.errors import DataError

LARGEST = 1e18  # more bit operations or bytes than any network has; longer numbers would only break the page
TINY = 1e-30  # no two weights worth telling apart are closer


def _finite(value: Any) -> Any:
    """Not-a-number and infinity mean "not measured": they become None, shown as a dash."""
    if isinstance(value, bool):
        raise ValueError("expected a number, got a boolean")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int | float) and abs(value) > LARGEST:
        raise ValueError(f"expected a number of at most {LARGEST:g}")
    return value


def _text(value: Any) -> Any:
    """Settings such as a seed or a bit-width may be written as a number; for people they are text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
Size = Annotated[float, Field(gt=0, le=LARGEST)]
Text = Annotated[str | None, BeforeValidator(_text)]


class Record(BaseModel):
    """Base of the records: immutable; fields added by later versions are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Before(Record):
    """The float model: `top1` percent, `bytes` of its parameters, `params` and `macs` counts."""

    top1: Number = None
    bytes: Number = None
    params: Number = None
    macs: Number = None


class Simulated(Record):
    """The fake-quantized model in the training framework: `top1` percent."""

    top1: Number = None


class BitEqual(Record):
    """Comparison of engine and integer reference: every output value of `images` inputs."""

    images: Number = None
    values: Number = None
    equal: bool | None = None


class IntegerExact(Record):
    """The fake-quantized model against the engine, code by code: see docs/numerics.md, "Agreement with the simulation".

    `argmax_equal` of `images` have the same class; of `codes_compared`, `codes_at_boundary` lie where float32's
    rounding decides, and `codes_wrong` differ without that.
    """

    images: Number = None
    argmax_equal: Number = None
    max_abs_logit_difference: Number = None
    codes_compared: Number = None
    codes_at_boundary: Number = None
    codes_wrong: Number = None


class Measured(Record):
    """The packed file run by the engine: `top1` percent over `images`."""

    top1: Number = None
    images: Number = None
    argmax_equal_to_fake_quant: Number = None
    integer_exact: IntegerExact | None = None
    bit_equal_to_reference: BitEqual | None = None
    max_abs_logit_difference: Number = None


class Width(Record):
    """A file of several bit-widths, run at one of them."""

    bits: Number = None
    engine: Measured = Measured()


class Histogram(Record):
    """Weights of one layer: `counts[i]` values lie in `edges[i]` to `edges[i + 1]`."""

    edges: list[float]
    counts: list[float]

    @model_validator(mode="after")
    def _check(self) -> Histogram:
        if len(self.edges) != len(self.counts) + 1 or not self.counts:
            raise ValueError(f"expected one edge more than counts, got {len(self.edges)} and {len(self.counts)}")
        if not all(a < b for a, b in pairwise(self.edges)):
            raise ValueError("edges must ascend")
        if not all(abs(x) <= LARGEST for x in (self.edges[0], self.edges[-1])):
            raise ValueError(f"edges must be finite and at most {LARGEST:g}")
        if not all(0 <= c < math.inf for c in self.counts):
            raise ValueError("counts must be finite and not negative")
        return self


def _drawable(value: Any) -> Any:
    """Weights so alike that rounding made edges of their histogram equal have none to draw."""
    edges = value.get("edges") if isinstance(value, dict) else None
    if not isinstance(edges, list) or not all(isinstance(edge, int | float) for edge in edges):
        return value
    return None if any(abs(b - a) < TINY for a, b in pairwise(edges)) else value


class Layer(Record):
    """One layer with weights; sizes in bytes, `weight_error` is the relative mean squared error of its weights."""

    name: str
    op: Text = None
    shape: list[int] | None = None
    params: Number = None
    macs: Number = None
    bops: Number = None
    weight_bits: Number = None
    activation_bits: Number = None
    method: Text = None
    packed_bytes: Number = None
    float_bytes: Number = None
    kernel: Text = None
    snap_error: Number = None
    weight_error: Number = None
    histogram: Annotated[Histogram | None, BeforeValidator(_drawable)] = None
    levels: list[Annotated[float, Field(ge=-LARGEST, le=LARGEST)]] | None = None


class Skipped(Record):
    """A layer left in float, and why."""

    name: str
    reason: Text = None


class Published(Record):
    """A number printed elsewhere: `value` percent and its `source`."""

    value: Number = None
    source: Text = None


class Result(Record):
    """`result.json`. Accuracies in percent, sizes in bytes, times in seconds; None where not recorded."""

    name: str
    file_bytes: Size
    layers: list[Layer] = []
    model: Text = None
    dataset: Text = None
    labels: Text = None
    recipe: dict[str, Any] = {}
    method: Text = None
    bits: dict[str, Any] = {}
    protocol: Text = None
    seed: Text = None
    train_s: Number = None
    threads: Number = None
    epochs: Number = None
    before: Before = Field(default=Before(), alias="float")
    simulated: Simulated = Field(default=Simulated(), alias="fake_quant")
    engine: Measured = Measured()
    widths: list[Width] = []
    sections: dict[str, Number] = {}
    bops: Number = None
    macs: Number = None
    skipped: list[Skipped] | None = None
    published: Published | None = None
    latency: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        """A null says the same as a missing key."""
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data


def parse(result: Any, where: str = "result.json") -> Result:
    """Check a result and give it types.

    Args:
        result: the content of `result.json`.
        where: the file named in error messages.
    Raises: DataError naming the file, the field, what was expected and what came.
    """
    if not isinstance(result, dict):
        raise DataError(f"{where}: expected an object with the keys of a run, got {type(result).__name__}")
    try:
        return Result.model_validate(result)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "result"
        came = "" if first["type"] == "missing" else f", got {str(first['input'])[:80]!r}"
        raise DataError(
            f"{where}: {field}: {first['msg']}{came}; the file must be as `kompakt compress` wrote it"
        ) from error
