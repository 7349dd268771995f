"""What to try next: one rule per function, each computed from the numbers of the run and none from its name."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import text
from .curve import Curve
from .facts import drop
from .latency import latencies
from .model import Layer, Result

TOLERATED_DROP = 1.0  # points; the usual limit of a lossless claim
FREE_DROP = 0.3  # points; within the spread of seeds of a small network
FEW_EPOCHS = 10  # fewer leave accuracy behind with nearly every method
CODES = "codes"


@dataclass(frozen=True)
class Advice:
    """`finding` is what the numbers show, `action` the thing to do about it."""

    finding: str
    action: str


Rule = Callable[[Result, Curve], Advice | None]


def advise(result: Result, curve: Curve) -> list[Advice]:
    """Advice in order of weight: correctness, accuracy, size, evidence."""
    return [advice for rule in RULES if (advice := rule(result, curve)) is not None]


def _engine_differs(result: Result, _: Curve) -> Advice | None:
    equal = result.engine.bit_equal_to_reference
    if equal is None or equal.equal is not False:
        return None
    return Advice(
        "The engine does not reproduce the integer reference.",
        "Do not use this file. `kompakt verify` names the first layer that differs.",
    )


def _simulation_differs(result: Result, _: Curve) -> Advice | None:
    """Told by codes where the run has compared them, else by accuracies, which rounding alone may move a little."""
    simulated, engine, exact = result.simulated.top1, result.engine.top1, result.engine.integer_exact
    action = "What was trained is not what runs: `kompakt verify` names the first layer that differs."
    if exact is not None and exact.codes_wrong is not None:
        wrong = f"{text.count(exact.codes_wrong)} of {text.count(exact.codes_compared)} codes of the engine"
        return Advice(f"{wrong} are not those of the simulation.", action) if exact.codes_wrong else None
    if simulated is None or engine is None or abs(simulated - engine) < 0.05:
        return None
    return Advice(f"The engine's accuracy differs from the simulated one by {text.points(engine - simulated)}.", action)


def _drop_too_large(result: Result, curve: Curve) -> Advice | None:
    lost = drop(result)
    if lost is None or lost >= -TOLERATED_DROP:
        return None
    finding = f"{abs(lost):.2f} points of accuracy are lost, more than the usual limit of {TOLERATED_DROP:g}."
    actions = []
    if curve.is_rising:
        actions.append("train for more epochs: accuracy was still rising at the end")
    elif len(curve.loss) < FEW_EPOCHS:
        actions.append(f"train for more epochs: this run had {len(curve.loss) if curve.unit == 'epoch' else 0}")
    low = _lowest_bits(result)
    if low is not None and low < 4:
        actions.append(f"use {low + 1:g}-bit weights (about {text.size(_bytes_per_bit(result))} more)")
    train = result.recipe.get("train")
    if isinstance(train, dict) and train.get("distill") == 0:
        actions.append("distil from the float model (distill in [train], above 0)")
    actions = actions or ["give the layers with the largest weight error more bits"]
    return Advice(finding, _sentence(("in this order: " if len(actions) > 1 else "") + "; ".join(actions)))


def _room_for_fewer_bits(result: Result, _: Curve) -> Advice | None:
    lost, low = drop(result), _lowest_bits(result)
    if lost is None or low is None or lost < -FREE_DROP or low <= 1:
        return None
    is_loss = lost < 0
    return Advice(
        f"The drop of {text.points(lost)} is within the spread of seeds." if is_loss else "No accuracy is lost.",
        f"Try {low - 1:g}-bit weights; the file would shrink by about {text.size(_bytes_per_bit(result))}.",
    )


def _overhead_dominates(result: Result, _: Curve) -> Advice | None:
    sections = {name: value for name, value in result.sections.items() if value}
    overhead = sum(value for name, value in sections.items() if name != CODES)
    if not sections or overhead < 0.2 * result.file_bytes:
        return None
    name, largest = max(((n, v) for n, v in sections.items() if n != CODES), key=lambda item: item[1])
    return Advice(
        f"{text.share(overhead, result.file_bytes)} of the file is not weight codes; the largest part is "
        f"“{text.clip(name, 40)}” with {text.size(largest)}.",
        OVERHEAD_ACTIONS.get(name, "Fewer, wider layers would carry less of it per weight."),
    )


OVERHEAD_ACTIONS = {
    "thresholds": "Thresholds cost 4 bytes × channels × (2^bits − 1): fewer activation bits shrink them most.",
    "manifest": "It grows with the number of layers, not their width: in a wider network it stops mattering.",
    "floats": "These are scales, offsets and layers left in float: quantize the layers listed as float.",
    "bases": "Share one basis or table per layer instead of one per channel.",
}


def _ends_dominate(result: Result, _: Curve) -> Advice | None:
    layers = [layer for layer in result.layers if layer.packed_bytes]
    if len(layers) < 4:
        return None
    ends, total = [layers[0], layers[-1]], sum(layer.packed_bytes or 0 for layer in layers)
    held = sum(layer.packed_bytes or 0 for layer in ends)
    bits = max(layer.weight_bits or 0 for layer in ends)
    if held < 0.2 * total or bits < 8:
        return None
    return Advice(
        f"The first and last layer hold {text.share(held, total)} of the packed weights.",
        f"Try 4 bits for them instead of {bits:g}; watch the accuracy, they are the sensitive ones.",
    )


def _one_layer_costs_most(result: Result, _: Curve) -> Advice | None:
    layers = [layer for layer in result.layers if layer.bops]
    if len(layers) < 4:
        return None
    total, top = sum(layer.bops or 0 for layer in layers), max(layers, key=lambda layer: layer.bops or 0)
    if (top.bops or 0) < 0.3 * total:
        return None
    return Advice(
        f"{text.clip(top.name, 80)} alone takes {text.share(top.bops, total)} of all bit operations.",
        "Fewer weight or activation bits there save more computation than anywhere else.",
    )


def _worst_layer(result: Result, _: Curve) -> Advice | None:
    layers = [layer for layer in result.layers if layer.weight_error is not None and (layer.weight_bits or 32) < 8]
    if len(layers) < 4:
        return None
    worst = max(layers, key=lambda layer: layer.weight_error or 0)
    error, usual = worst.weight_error or 0, statistics.median(layer.weight_error or 0 for layer in layers)
    if error < 0.05 or error < 2 * usual:
        return None
    beside = f", {error / usual:.1f} times the median" if usual else ""
    return Advice(
        f"{text.clip(worst.name, 80)} has a weight error of {text.number(error)}{beside}.",
        f"One more bit for this layer costs {text.size((worst.params or 0) / 8)}.",
    )


def _float_layers(result: Result, _: Curve) -> Advice | None:
    left = [layer for layer in result.layers if (layer.weight_bits or 0) >= 32]
    held = sum(layer.packed_bytes or 0 for layer in left)
    if held < 0.1 * result.file_bytes:
        return None
    return Advice(
        f"{len(left)} layer(s) left in float hold {text.share(held, result.file_bytes)} of the file.",
        "Give them 8 bits: this nearly always costs no accuracy.",
    )


def _below_published(result: Result, _: Curve) -> Advice | None:
    published = result.published.value if result.published else None
    if published is None or result.engine.top1 is None or result.engine.top1 > published - 0.5:
        return None
    return Advice(
        f"The published accuracy is {text.points(published - result.engine.top1)} higher.",
        "Compare epochs, augmentation and the float start with the source's before judging the method.",
    )


def _slower_than_a_peer(result: Result, _: Curve) -> Advice | None:
    faster = [(ratio, engine, one.conditions) for one in latencies(result) for ratio, engine in one.faster]
    if not faster:
        return None
    ratio, engine, conditions = min(faster)
    return Advice(
        f"{text.clip(engine, 60)} is {1 / ratio:.2f} times as fast ({conditions}).",
        "Choose this file for its size here, not for its speed; `kompakt doctor` shows which kernels this CPU allows.",
    )


def _no_bench(result: Result, _: Curve) -> Advice | None:
    if result.latency:
        return None
    return Advice(
        "Speed was not measured in this run.",
        "`kompakt bench model.kpt` times it beside other engines on this machine.",
    )


def _one_seed(result: Result, _: Curve) -> Advice | None:
    if result.seed is None or drop(result) is None:
        return None
    return Advice(
        f"The accuracy comes from one seed ({text.clip(result.seed, 20)}).",
        "Run at least three before quoting it, and state their spread.",
    )


RULES: tuple[Rule, ...] = (
    _engine_differs,
    _simulation_differs,
    _drop_too_large,
    _room_for_fewer_bits,
    _overhead_dominates,
    _ends_dominate,
    _one_layer_costs_most,
    _worst_layer,
    _float_layers,
    _below_published,
    _slower_than_a_peer,
    _no_bench,
    _one_seed,
)


def _low_layers(layers: Sequence[Layer]) -> list[Layer]:
    """The layers at the lowest bit-width of the network: the ones a change of bits would touch."""
    known = [layer for layer in layers if layer.weight_bits and layer.weight_bits < 32]
    low = min((layer.weight_bits or 0 for layer in known), default=None)
    return [layer for layer in known if layer.weight_bits == low]


def _lowest_bits(result: Result) -> float | None:
    return next((layer.weight_bits for layer in _low_layers(result.layers)), None)


def _bytes_per_bit(result: Result) -> float:
    return sum(layer.params or 0 for layer in _low_layers(result.layers)) / 8


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."
