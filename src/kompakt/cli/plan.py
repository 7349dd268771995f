"""`kompakt plan`: what a recipe would do to a model, without doing it."""

from __future__ import annotations

from typing import Any

import click

from . import jobs, options
from .output import count_text, print_json, shape_text, table


@click.command(short_help="Show what a recipe would change, and the size to expect.")
@click.argument("source", metavar="RECIPE.toml | MODEL.py:FUNCTION | zoo:NAME")
@click.option("--recipe", help=f"With a model: a recipe file or built-in recipe.  [default: {jobs.DEFAULT_RECIPE}]")
@options.input_shape
@options.settings
@options.as_json
def plan(
    source: str,
    recipe: str | None,
    input_shape: tuple[int, ...] | None,
    settings: dict[str, Any],
    as_json: bool,
) -> None:
    """Which layers change to what, bytes and BOPs to expect, what is left alone and why. Changes nothing.

    \b
    kompakt plan mynet.py:build --recipe w2a2-lq --input 1,3,32,32
    kompakt plan recipes/resnet20-cifar10-lq-w2a2.toml -s stage.weight_bits=3

    Sizes are those of a real file: the network is packed in memory with untrained quantizers.
    """
    from ..strategy import expectation

    job = jobs.recipe_of(source, recipe, None, settings)
    result = expectation(job, input_shape)
    if as_json:
        print_json(result)
        return
    click.echo(f"{job.model.source} with recipe {job.name}\n")
    click.echo(
        table(
            ("layer", "op", "shape", "method", "weights", "inputs", "bytes", "becomes", "BOPs"),
            _rows(result),
            "llllrrrrr",
        )
    )
    click.echo(
        f"\nfile: {count_text(result['file_bytes'])} bytes (now {count_text(result['float']['bytes'])}, "
        f"{result['float']['bytes'] / result['file_bytes']:.1f}x);  "
        f"BOPs: {result['bops'] / 1e9:.3f} G (float {result['macs'] * 1024 / 1e9:.1f} G)"
    )
    for skipped in result["skipped"]:
        click.echo(f"left alone: {skipped['name']}: {skipped['reason']}")
    if job.stage[0].measures_layers:
        click.echo("which layers get more bits is measured on data: the run may choose others")
    click.echo("nothing was changed; the accuracy is known only after `kompakt compress`")


def _rows(result: dict[str, Any]) -> list[tuple[object, ...]]:
    return [
        (
            layer["name"], layer["op"], shape_text(layer["shape"]), layer["method"], f"{layer['weight_bits']} bits",
            f"{layer['activation_bits']} bits", count_text(layer["float_bytes"]), count_text(layer["packed_bytes"]),
            f"{layer['bops'] / 1e6:.1f} M",
        )
        for layer in result["layers"]
    ]  # fmt: skip
