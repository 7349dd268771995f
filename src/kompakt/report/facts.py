"""What was gained and lost: the headline sentence, the before/after rows, the checks of agreement."""

from __future__ import annotations

from dataclasses import dataclass

from . import text
from .latency import latencies
from .model import Measured, Result

FLOAT_BITS = 32


@dataclass(frozen=True)
class Row:
    """One line of the before/after table, as text. `is_part` rows explain the row above them."""

    label: str
    before: str
    after: str
    change: str = ""
    note: str = ""
    is_part: bool = False


@dataclass(frozen=True)
class Check:
    """One claim of agreement. `passed` is None where it was not checked."""

    claim: str
    passed: bool | None
    evidence: str


def drop(result: Result) -> float | None:
    """Accuracy in the engine minus float accuracy, in points; falls back to the simulated accuracy."""
    after = result.engine.top1 if result.engine.top1 is not None else result.simulated.top1
    return None if after is None or result.before.top1 is None else after - result.before.top1


def total_macs(result: Result) -> float | None:
    """MACs of the compressed network for one input."""
    return result.macs if result.macs is not None else result.before.macs


def float_bops(result: Result) -> float | None:
    """BOPs of the float network: MACs x 32 x 32."""
    macs = result.before.macs if result.before.macs is not None else result.macs
    return None if macs is None else macs * FLOAT_BITS * FLOAT_BITS


def headline(result: Result) -> str:
    """Gain and loss in one sentence."""
    who = text.clip((result.model or result.name).removeprefix("zoo:"), 80)
    is_wrong = exactness(result).passed is False
    return f"{who} {_gain(result)}{_loss(result)}{', but the engine computes it wrongly' if is_wrong else ''}."


def _gain(result: Result) -> str:
    before, after = result.before.bytes, result.file_bytes
    if before is None:
        return f"now takes {text.size(after)}"
    if after < before:
        return f"is {text.ratio(before, after).rstrip(text.TIMES)} times smaller"
    return f"did not get smaller ({text.size(before)} before, {text.size(after)} after)"


def _loss(result: Result) -> str:
    lost = drop(result)
    if lost is None:
        return "; its accuracy was not measured"
    if abs(lost) < 0.005:
        return " and kept its accuracy"
    amount = f"{abs(lost):.2f} points of accuracy"
    return f" and lost {amount}" if lost < 0 else f" and gained {amount}"


def comparison(result: Result) -> list[Row]:
    """The before/after table. Rows without any number are left out."""
    before = result.before
    rows = [
        Row(
            "size on disk",
            text.size(before.bytes),
            text.size(result.file_bytes),
            text.ratio(before.bytes, result.file_bytes),
            "the file, header included",
        ),
        *_accuracy_rows(result),
        Row("MACs", text.short(before.macs), text.short(total_macs(result)), note="multiply-adds for one input"),
        Row(
            "BOPs",
            text.short(float_bops(result)),
            text.short(result.bops),
            text.ratio(float_bops(result), result.bops),
            "MACs × weight bits × activation bits",
        ),
    ]
    if before.params is not None:
        rows.append(
            Row(
                "bits per parameter",
                str(FLOAT_BITS),
                f"{8 * result.file_bytes / max(before.params, 1):.2f}",
                note="file bytes × 8 / parameters",
            )
        )
    rows += _latency_rows(result)
    return [row for row in rows if {row.before, row.after} != {text.DASH}]


def steps(result: Result) -> tuple[str, str]:
    """Change of accuracy from float to simulated and from simulated to engine; empty where not measured."""
    before, simulated, engine = result.before.top1, result.simulated.top1, result.engine.top1
    pairs = ((before, simulated), (simulated, engine))
    first, second = ("" if None in pair else _points(*pair) for pair in pairs)
    return first, second


def has_labels(result: Result) -> bool:
    """Whether accuracies count right answers; without labels they count agreement with the float network."""
    return result.labels != "float network"


def _accuracy_rows(result: Result) -> list[Row]:
    before, engine, simulated = result.before.top1, result.engine.top1, result.simulated.top1
    name, what = ("accuracy", "top-1") if has_labels(result) else ("agreement", "same class as the float network")
    images = f"{what} over {text.count(result.engine.images)} images" if result.engine.images else what
    rows = [Row(f"{name}, engine", text.percent(before), text.percent(engine), _points(before, engine), images)]
    if simulated is not None:
        rows.append(
            Row(
                "simulated in training",
                text.percent(before),
                text.percent(simulated),
                _points(before, simulated),
                "fake-quantized",
                is_part=True,
            )
        )
    for width in result.widths[1:]:  # the first is the one above
        after = width.engine.top1
        label = f"{name}, engine, {text.count(width.bits)} bits"
        rows.append(Row(label, text.percent(before), text.percent(after), _points(before, after), "the same file"))
    return rows


def _points(before: float | None, after: float | None) -> str:
    return text.DASH if before is None or after is None else text.points(after - before)


def _latency_rows(result: Result) -> list[Row]:
    """Latency beside the fastest float engine measured under the same threads and batch."""
    return [
        Row(
            f"latency, {one.conditions}",
            text.milliseconds(one.float_ms),
            text.milliseconds(one.own_ms),
            text.ratio(one.float_ratio, 1),
            f"before: {one.float_engine}, the fastest float engine" if one.float_engine else "no float engine measured",
        )
        for one in latencies(result)
    ]


def checks(result: Result) -> list[Check]:
    """Does the file compute what training simulated, and is the engine exact? At every bit-width of the file."""
    return [check(where, engine) for where, engine in _runs(result) for check in (_reference_check, _simulation_check)]


def exactness(result: Result) -> Check:
    """The comparison with the integer reference: the first bit-width at which they differ, else the first one."""
    found = [_reference_check(where, engine) for where, engine in _runs(result)]
    return next((check for check in found if check.passed is False), found[0])


def _runs(result: Result) -> list[tuple[str, Measured]]:
    """What was measured at every bit-width, with the words that tell it from the first."""
    others = [(f", {text.count(width.bits)} bits", width.engine) for width in result.widths[1:]]
    return [("", result.engine), *others]


def _reference_check(where: str, engine: Measured) -> Check:
    claim = f"engine = integer reference{where}"
    equal = engine.bit_equal_to_reference
    if equal is None or equal.equal is None:
        return Check(claim, None, "not checked in this run")
    how_many = f"{text.count(equal.values)} output values of {text.count(equal.images)} images"
    return Check(claim, equal.equal, f"{how_many} compared, {'all bit-equal' if equal.equal else 'not all bit-equal'}")


def _ties(images: float) -> float:
    """How many images may sit so near a tie of two classes that rounding decides: one in a thousand, or one."""
    return max(1.0, images // 1000)


def _simulation_check(where: str, engine: Measured) -> Check:
    """Code by code where the run has it: in float32 torch's own sums move a code at a boundary now and then."""
    claim = f"engine = simulation{where}"
    same, images = engine.argmax_equal_to_fake_quant, engine.images
    if same is None or not images:
        return Check(claim, None, "not checked in this run")
    evidence = f"{text.count(same)} of {text.count(images)} images get the same class"
    if engine.max_abs_logit_difference is not None:
        evidence += f"; largest difference of a logit {text.number(engine.max_abs_logit_difference)}"
    exact = engine.integer_exact
    if exact is None or exact.argmax_equal is None or exact.codes_wrong is None or not exact.images:
        return Check(claim, images - same <= _ties(images), evidence)
    others = "no other differs" if not exact.codes_wrong else f"{text.count(exact.codes_wrong)} others differ"
    in_integers = (
        f"integer-exact, {text.count(exact.argmax_equal)} of {text.count(exact.images)} images get the same class, "
        f"largest difference of a logit {text.number(exact.max_abs_logit_difference)}; of "
        f"{text.count(exact.codes_compared)} codes {text.count(exact.codes_at_boundary)} lie where float32's rounding "
        f"decides, {others}"
    )
    agrees = exact.argmax_equal == exact.images and not exact.codes_wrong
    return Check(claim, agrees, f"{in_integers}; in float32 {evidence}")


VERDICT = {True: "yes", False: "no", None: "not checked"}


def summary_table(result: Result) -> str:
    """The before/after table as plain ASCII text for a terminal, no trailing newline."""
    lines = [("", "before", "after", "ratio")]
    lines += [(("  " if r.is_part else "") + r.label, r.before, r.after, r.change) for r in comparison(result)]
    lines = [tuple(text.plain(cell) for cell in line) for line in lines]  # type: ignore[misc]
    claims = [(check.claim, f"{VERDICT[check.passed]} ({text.plain(check.evidence)})") for check in checks(result)]
    label, before, after, change = (max(len(line[i]) for line in lines) for i in range(4))
    label = max(label, *(len(claim) for claim, _ in claims))
    table = [f"{a:{label}}  {b:>{before}}  {c:>{after}}  {d:>{change}}".rstrip() for a, b, c, d in lines]
    return "\n".join(table + [f"{claim:{label}}  {verdict}" for claim, verdict in claims])
