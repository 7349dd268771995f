"""What the template shows, computed from the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from . import facts, text
from .curve import Curve
from .histogram import histogram, histogram_ticks
from .model import Layer, Result
from .plot import Plot, line_plot

MAX_LAYERS = 250  # in the chart and the table; with MAX_DRAWN it keeps the page under 1 MB for any network
MAX_DRAWN = 120  # layers with a histogram


@dataclass(frozen=True)
class LayerView:
    """One layer as the template shows it; shares are of the largest layer, for the length of the bars."""

    layer: Layer
    name: str
    bytes_share: float
    cost: float | None
    cost_share: float
    drawing: Markup | None
    axis: Markup | None
    levels: str
    is_selected: bool


def tiles(result: Result) -> list[tuple[str, str, str]]:
    """The four numbers at the top, as (number, what, from where); those not measured are left out."""
    size, bops = result.before.bytes, facts.float_bops(result)
    top1 = result.engine.top1 if result.engine.top1 is not None else result.simulated.top1
    where = "in the engine" if result.engine.top1 is not None else "simulated"
    name = "accuracy" if facts.has_labels(result) else "agreement with the float network"
    exact = facts.exactness(result)
    found = [
        (*_times(size, result.file_bytes, "smaller on disk", "larger on disk"),
         f"{text.size(size)} → {text.size(result.file_bytes)}"),
        (text.points(facts.drop(result)), f"{name}, {where}",
         f"{text.percent(result.before.top1)} → {text.percent(top1)}"),
        (*_times(bops, result.bops, "fewer bit operations", "more bit operations"),
         f"{text.short(bops)} → {text.short(result.bops)} BOPs"),
        ({True: "exact", False: "differs", None: "unknown"}[exact.passed], "engine against reference", exact.evidence),
    ]  # fmt: skip
    return [tile for tile in found if tile[0] != text.DASH]


def _times(before: float | None, after: float | None, less: str, more: str) -> tuple[str, str]:
    if before is not None and after is not None and after > before:
        return text.ratio(after, before), more
    return text.ratio(before, after), less


def settings(result: Result) -> list[tuple[str, str]]:
    """How the run was set, as (name, value), under the headline."""
    given = {**result.bits, **_spread(result.layers)} if result.bits else {}
    bits = ", ".join(f"{str(k).replace('_', ' and ')} {v}" for k, v in given.items() if v is not None)
    pairs = [
        ("data", result.dataset),
        ("method", result.method),
        ("bits", bits or None),
        ("protocol", result.protocol),
        ("epochs", None if result.epochs is None else text.count(result.epochs)),
        ("seed", result.seed),
        ("training time", None if result.train_s is None else text.duration(result.train_s)),
        ("threads", None if result.threads is None else text.count(result.threads)),
    ]
    return [(name, text.clip(value, 80)) for name, value in pairs if value is not None]


def _spread(layers: Sequence[Layer]) -> dict[str, str]:
    """The bits that layers between the first and the last have, where they differ: learned, measured or chosen."""
    found = {}
    for key, attribute in (("weights", "weight_bits"), ("activations", "activation_bits")):
        widths = sorted({getattr(layer, attribute) or 0 for layer in layers[1:-1]})
        if len(widths) > 1 and widths[0] > 0:
            found[key] = f"{text.bits(widths[0])} to {text.bits(widths[-1])}"
    return found


def cost_name(result: Result) -> str:
    """BOPs where every layer has them, else MACs."""
    return "BOPs" if result.layers and all(layer.bops is not None for layer in result.layers) else "MACs"


def _cost(layer: Layer, name: str) -> float | None:
    return layer.bops if name == "BOPs" else layer.macs


def total_cost(result: Result) -> float:
    """Sum of the cost over all layers."""
    name = cost_name(result)
    return sum(_cost(layer, name) or 0 for layer in result.layers)


def shown_layers(result: Result) -> list[Layer]:
    """All layers in the order of the network; of a very deep one, the MAX_LAYERS with the most bytes."""
    if len(result.layers) <= MAX_LAYERS:
        return result.layers
    places = range(len(result.layers))
    largest = sorted(places, key=lambda i: -(result.layers[i].packed_bytes or 0))[:MAX_LAYERS]
    return [result.layers[i] for i in sorted(largest)]


def layer_views(result: Result) -> list[LayerView]:
    """The layers shown, with their drawings."""
    layers, name = shown_layers(result), cost_name(result)
    most_cost = max((_cost(layer, name) or 0 for layer in layers), default=0) or 1
    most_bytes = max((layer.packed_bytes or 0 for layer in layers), default=0) or 1
    drawn = [i for i, layer in enumerate(layers) if layer.histogram][:MAX_DRAWN]
    # Enlarged at first is a layer with the fewest bits, whose levels tell most.
    selected = min(drawn, key=lambda i: layers[i].weight_bits or 32, default=None)
    return [
        LayerView(
            layer=layer,
            name=text.clip(layer.name, 120),
            bytes_share=(layer.packed_bytes or 0) / most_bytes,
            cost=_cost(layer, name),
            cost_share=(_cost(layer, name) or 0) / most_cost,
            drawing=histogram(layer) if i in drawn else None,
            axis=histogram_ticks(layer) if i in drawn else None,
            levels=_levels(layer),
            is_selected=i == selected,
        )
        for i, layer in enumerate(layers)
    ]


def _levels(layer: Layer) -> str:
    levels = sorted(layer.levels or [])
    if len(levels) > 16:
        return f"{len(levels)} levels from {text.number(levels[0])} to {text.number(levels[-1])}"
    return ", ".join(text.number(level) for level in levels)


def plots(result: Result, curve: Curve) -> list[tuple[str, Markup]]:
    """The charts of the training that have data, with their titles."""
    found = []
    if curve.accuracy:
        pairs = ((result.before.top1, "float"), (result.engine.top1, "engine, final"))
        reference = [(value, f"{name} {text.percent(value)}") for value, name in pairs if value is not None]
        plot = Plot("Validation accuracy", curve.accuracy, curve.unit, "%", reference, curve.stages)
        found.append((f"Validation accuracy (%) by {curve.unit}", line_plot(plot)))
    if curve.loss:
        plot = Plot("Training loss", curve.loss, curve.unit, stages=curve.stages)
        found.append((f"Training loss by {curve.unit}", line_plot(plot)))
    return found


def flatten(value: Any, prefix: str = "", limit: int = 120) -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text) pairs, at most `limit` of them."""
    if isinstance(value, dict):
        dot = f"{prefix}." if prefix else ""
        return [pair for key, item in value.items() for pair in flatten(item, f"{dot}{key}")][:limit]
    return [(text.clip(prefix, 80), "not recorded" if value is None else text.clip(value, 400))]
