"""Putting the page together: facts, tables and drawings into the template, style and script inlined."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from .._core.files import atomic_write
from . import charts, facts, latency, tables, text
from .advice import advise
from .curve import Curve, read_curve
from .folder import read
from .model import Layer, Result, parse

MAX_RECIPE = 40_000  # characters shown; the run folder has the whole file
MAX_DRAWN = 150  # layers with a histogram; keeps the page under 1 MB for any network


def write(run_folder: str | os.PathLike[str], path: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of a run.

    Args:
        run_folder: folder with `result.json` and, where recorded, `metrics.jsonl`, `env.json`, `recipe.toml`.
        path: where to write; default `report.html` in the run folder.
    Returns: the path of the page: one HTML file below 1 MB that loads nothing else.
    Raises: DataError naming the file that is missing or not what it should be. StorageError if it cannot be written.
    """
    run = read(run_folder)
    target = Path(run_folder) / "report.html" if path is None else Path(path)
    page = _render(parse(run.result, str(Path(run_folder) / "result.json")), run.metrics, run.env, run.recipe)
    atomic_write(target, page.encode("utf-8", "replace"))
    return target


def render(result: dict[str, Any], metrics: Sequence[dict[str, Any]], env: dict[str, Any], recipe: str) -> str:
    """The report as HTML text.

    Args:
        result: content of `result.json`; only `name` and `file_bytes` must be present.
        metrics: lines of `metrics.jsonl`; env: content of `env.json`; recipe: text of `recipe.toml`. May be empty.
    Raises: DataError naming the field that is not what it should be.
    """
    return _render(parse(result), metrics, env, recipe)


def summary_table(result: dict[str, Any]) -> str:
    """The before/after table of a result as plain ASCII text, for the terminal. Raises: DataError, as `render`."""
    return facts.summary_table(parse(result))


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


def _render(result: Result, metrics: Sequence[dict[str, Any]], env: dict[str, Any], recipe: str) -> str:
    curve = read_curve(metrics)
    script, style = _asset("script.js"), _asset("style.css")
    return _template().render(
        r=result,
        text=text,
        charts=charts,
        facts=facts,
        style=Markup(style),
        script=Markup(script),
        script_hash=_digest(script),
        style_hash=_digest(style),
        headline=facts.headline(result),
        tiles=_tiles(result),
        checks=facts.checks(result),
        verdict=facts.VERDICT,
        steps=facts.steps(result),
        settings=_settings(result),
        comparison=tables.comparison_table(result),
        rows=facts.comparison(result),
        layer_table=tables.layer_table(result.layers),
        layers=_views(result),
        cost_name=_cost_name(result),
        sections=tables.section_table(result),
        skipped=tables.skipped_table(result),
        bench=tables.bench_table(result),
        bench_bars=latency.bars(result),
        default_card=_default_card(result),
        curve=curve,
        curve_table=tables.curve_table(curve),
        plots=_plots(result, curve),
        advice=advise(result, curve),
        env=_flatten(env),
        recipe=recipe[:MAX_RECIPE],
        recipe_cut=len(recipe) > MAX_RECIPE,
        recipe_link="data:application/toml;charset=utf-8," + quote(recipe[:MAX_RECIPE].encode("utf-8", "replace")),
    )


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("template.html.j2")


def _digest(source: str) -> str:
    """The page's own security policy admits exactly this script and this style: injected ones would not run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _tiles(result: Result) -> list[tuple[str, str, str]]:
    """The four numbers at the top: (number, what, from where)."""
    lost, cost = facts.drop(result), text.ratio(facts.float_bops(result), result.bops)
    top1 = result.engine.top1 if result.engine.top1 is not None else result.simulated.top1
    where = "in the engine" if result.engine.top1 is not None else "simulated"
    tiles = [
        (
            text.ratio(result.before.bytes, result.file_bytes),
            "smaller on disk",
            f"{text.size(result.before.bytes)} → {text.size(result.file_bytes)}",
        ),
        (text.points(lost), f"accuracy, {where}", f"{text.percent(result.before.top1)} → {text.percent(top1)}"),
        (cost, "fewer bit operations", f"{text.short(facts.float_bops(result))} → {text.short(result.bops)} BOPs"),
    ]
    exact = facts.checks(result)[0]
    return [tile for tile in tiles if tile[0] != text.DASH] + [
        ({True: "exact", False: "differs", None: "unknown"}[exact.passed], "engine against reference", exact.evidence)
    ]


def _settings(result: Result) -> list[tuple[str, str]]:
    bits = ", ".join(f"{str(k).replace('_', ' and ')} {v}" for k, v in result.bits.items())
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


def _cost_name(result: Result) -> str:
    """BOPs where every layer has them, else MACs."""
    return "BOPs" if result.layers and all(layer.bops is not None for layer in result.layers) else "MACs"


def _views(result: Result) -> list[LayerView]:
    field = _cost_name(result).lower()
    costs: list[float | None] = [getattr(layer, field) for layer in result.layers]
    most_cost = max((cost or 0 for cost in costs), default=0) or 1
    most_bytes = max((layer.packed_bytes or 0 for layer in result.layers), default=0) or 1
    drawn = {id(layer) for layer in [layer for layer in result.layers if layer.histogram][:MAX_DRAWN]}
    return [
        LayerView(
            layer=layer,
            name=text.clip(layer.name, 120),
            bytes_share=(layer.packed_bytes or 0) / most_bytes,
            cost=cost,
            cost_share=(cost or 0) / most_cost,
            drawing=charts.histogram(layer) if id(layer) in drawn else None,
            axis=charts.histogram_ticks(layer) if id(layer) in drawn else None,
            levels=_levels(layer),
        )
        for layer, cost in zip(result.layers, costs, strict=True)
    ]


def _default_card(result: Result) -> str:
    """The histogram enlarged at first: the first layer with the fewest bits, where the levels tell most."""
    drawn = [layer for layer in result.layers[:MAX_DRAWN] if layer.histogram]
    return min(drawn, key=lambda layer: layer.weight_bits or 32).name if drawn else ""


def _levels(layer: Layer) -> str:
    levels = sorted(layer.levels or [])
    if len(levels) > 16:
        return f"{len(levels)} levels from {text.number(levels[0])} to {text.number(levels[-1])}"
    return ", ".join(text.number(level) for level in levels)


def _plots(result: Result, curve: Curve) -> list[tuple[str, Markup]]:
    plots = []
    if curve.accuracy:
        pairs = ((result.before.top1, "float"), (result.engine.top1, "engine, final"))
        reference = [(value, f"{name} {text.percent(value)}") for value, name in pairs if value is not None]
        plots.append(
            (
                f"Validation accuracy (%) by {curve.unit}",
                charts.line_plot(
                    charts.Plot("Validation accuracy", curve.accuracy, curve.unit, "%", reference, curve.stages)
                ),
            )
        )
    if curve.loss:
        plots.append(
            (
                f"Training loss by {curve.unit}",
                charts.line_plot(charts.Plot("Training loss", curve.loss, curve.unit, "", (), curve.stages)),
            )
        )
    return plots


def _flatten(value: Any, prefix: str = "", limit: int = 120) -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text) pairs, at most `limit` of them."""
    if isinstance(value, dict):
        dot = f"{prefix}." if prefix else ""
        return [pair for key, item in value.items() for pair in _flatten(item, f"{dot}{key}")][:limit]
    return [(text.clip(prefix, 80), text.clip(value, 400))]
