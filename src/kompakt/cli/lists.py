"""`kompakt methods` and `kompakt recipes`: what there is to choose from."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import click

from . import options
from .output import print_json, table


@click.command(short_help="List the quantization methods.")
@click.option("--check", "source", metavar="NAME | FILE.py:NAME", help="Run the contract of quantizers on a method.")
@options.as_json
def methods(source: str | None, as_json: bool) -> int:
    """Every method with its parts, bit-widths, grain of the weights, and what its tests hold it to.

    \b
    kompakt methods
    kompakt methods --check mine.py:mine
    kompakt compress mynet.py:build --recipe w2a2-lq -s stage.method=lsq --data mydata.py:loaders
    """
    if source is not None:
        return _check(source, as_json)
    from ..quant import METHODS

    rows = [
        {
            "method": name, "bits": list(parts.bits), "grid": parts.grid, "rule": parts.rule,
            "surrogate": parts.surrogate,
            "grain": parts.grain, "roles": sorted(parts.roles),
            "claims": sorted(parts.claims),
        }
        for name, parts in METHODS.items()
    ]  # fmt: skip
    if as_json:
        print_json(rows)
        return 0
    header = ("method", "bits", "grid", "rule", "surrogate", "grain", "for", "claims")
    click.echo(table(header, [_method_row(row) for row in rows], "l" * len(header)))
    return 0


def _check(source: str, as_json: bool) -> int:
    """The exit code: 1 where a clause of the contract is broken, which is printed."""
    from ..quant import method
    from ..testing import check_quantizer, quantizer_cases

    parts, broken = method(source), None
    try:
        check_quantizer(parts)
    except AssertionError as error:
        broken = str(error)
    if as_json:
        print_json({"method": source, "ok": broken is None, "broken": broken})
    elif broken is not None:
        click.echo(f"FAILED  {source}: {broken}")
    else:
        click.echo(f"ok      {source}: the contract holds in {len(quantizer_cases(parts))} cases")
    return 0 if broken is None else 1


def _method_row(row: dict[str, Any]) -> tuple[str, ...]:
    bits = row["bits"]
    roles = "all" if len(row["roles"]) == 3 else ", ".join(row["roles"])
    return (
        row["method"], f"{bits[0]}-{bits[-1]}", row["grid"], row["rule"], row["surrogate"], row["grain"], roles,
        ", ".join(row["claims"]),
    )  # fmt: skip


@click.command(short_help="List the built-in recipes.")
@options.as_json
def recipes(as_json: bool) -> None:
    """Every built-in recipe, what it does, and what it reached on a ResNet-20; its name goes after --recipe.

    \b
    kompakt recipes
    kompakt plan mynet.py:build --recipe w2a2-lq --input 1,3,32,32
    """
    from ..strategy import builtin_recipes

    files = builtin_recipes()
    measured = json.loads((next(iter(files.values())).parent / "measured.json").read_text())
    rows = [{**_recipe(name, path), "measured": measured.get(name)} for name, path in files.items()]
    if as_json:
        print_json(rows)
        return
    cells = [
        (
            row["name"], row["method"], row["weight_bits"], row["activation_bits"], row["epochs"],
            *_reached(row["measured"]), row["about"],
        )
        for row in rows
    ]  # fmt: skip
    header = ("recipe", "method", "weights", "inputs", "epochs", "accuracy", "size", "what it does")
    click.echo(table(header, cells, "llrrrrrl"))
    before = {f"{row['measured']['float_top1']:.2f} %" for row in rows if row["measured"]}
    click.echo(f"\naccuracy and size: of a ResNet-20 on CIFAR-10, in the engine ({', '.join(sorted(before))} in float)")


def _reached(measured: dict[str, Any] | None) -> tuple[str, str]:
    """Accuracy and size on the network of the records."""
    if measured is None:
        return "-", "-"
    return f"{measured['engine_top1']:.2f} %", f"{measured['times_smaller']}x less"


def _recipe(name: str, path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    content = tomllib.loads(text)
    stage = content["stage"][0]
    about = text.splitlines()[0].removeprefix("#").strip() if text.startswith("#") else ""
    keys = ("method", "weight_bits", "activation_bits")
    return {"name": name, **{key: stage[key] for key in keys}, "epochs": content["train"]["epochs"], "about": about}
