"""Putting the page together: facts, tables and drawings into the template, style and script inlined."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from .._core.files import atomic_write
from . import charts, facts, latency, tables, text, views
from .advice import advise
from .curve import read_curve
from .folder import read
from .model import Result, parse

MAX_RECIPE = 40_000  # characters shown; the run folder has the whole file


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


def _render(result: Result, metrics: Sequence[dict[str, Any]], env: dict[str, Any], recipe: str) -> str:
    curve = read_curve(metrics)
    script, style = _asset("script.js"), _asset("style.css")
    return _template().render(
        r=result,
        text=text,
        charts=charts,
        facts=facts,
        patterns=Markup(_asset("patterns.svg")),
        style=Markup(style),
        script=Markup(script),
        script_hash=_digest(script),
        style_hash=_digest(style),
        headline=facts.headline(result),
        tiles=views.tiles(result),
        checks=facts.checks(result),
        verdict=facts.VERDICT,
        steps=facts.steps(result),
        settings=views.settings(result),
        comparison=tables.comparison_table(result),
        rows=facts.comparison(result),
        layer_table=tables.layer_table(views.shown_layers(result)),
        layers=views.layer_views(result),
        cost_name=views.cost_name(result),
        cost_total=views.total_cost(result),
        sections=tables.section_table(result),
        skipped=tables.skipped_table(result),
        bench=tables.bench_table(result),
        bench_bars=latency.bars(result),
        bench_remarks=latency.remarks(result),
        curve=curve,
        curve_table=tables.curve_table(curve),
        plots=views.plots(result, curve),
        advice=advise(result, curve),
        env=views.flatten(env),
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
