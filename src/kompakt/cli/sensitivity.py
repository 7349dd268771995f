"""`kompakt sensitivity`: which layers mind fewer bits, measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from . import options
from .output import count_text, print_json, table

BAR = 24


@click.command(short_help="Rank the layers of a network by what fewer bits cost them.")
@click.argument("source", metavar="MODEL.py:FUNCTION | zoo:NAME")
@click.option("--data", required=True, help="cifar10, mnist, .., or FILE.py:FUNCTION; labels are not needed.")
@click.option("--method", default="mmse", show_default=True, help="Quantization method of the weights.")
@click.option("--bits", default="2,3,4,8", show_default=True, callback=options.counts, help="Bit-widths to try.")
@click.option("--samples", default=128, show_default=True, type=click.IntRange(min=1), help="Inputs to measure with.")
@click.option("--mean-bits", default=4.0, show_default=True, help="Average of the recipe block that is printed.")
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Write a drawing (SVG).")
@options.as_json
def sensitivity(
    source: str, data: str, method: str, bits: tuple[int, ...], samples: int, mean_bits: float, picture: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Quantize the weights of one layer at a time and measure how far the network's outputs move.

    \b
    kompakt sensitivity zoo:cifar10-resnet20 --data cifar10 --picture sensitivity.svg
    kompakt sensitivity mynet.py:build --data mydata.py:samples --bits 2,4,8

    Distances are the mean relative entropy of the classes in nats, of other outputs the squared error over the
    variance. The block at the end goes into a recipe; the built-in recipe `mixed` does the same by itself.
    """
    from .._core.files import atomic_write
    from ..report import sensitivity_picture
    from ..strategy import measure_sensitivity

    measured = measure_sensitivity(
        source, data, method, bits, samples, mean_bits,
        on_estimate=lambda seconds: click.echo(f"about {seconds:.0f} s", err=True),
        on_step=_show if sys.stderr.isatty() else lambda layer, done, of: None,
    )  # fmt: skip
    if picture is not None:
        atomic_write(picture, sensitivity_picture(measured["layers"]).encode())
    if as_json:
        print_json(measured)
        return
    header = ("layer", "weights", *(f"{b} bits" for b in bits), "", "chosen")
    click.echo(table(header, _rows(measured["layers"], bits), "lr" + "r" * len(bits) + "lr"))
    click.echo(f"\nfor a recipe, {measured['mean_bits']:.2f} bits per weight on average:\n")
    click.echo(measured["block"])


def _show(layer: str, done: int, of: int) -> None:
    """One line that is written over; the last step clears it."""
    click.echo(f"\r{done + 1}/{of} {layer:40.40}" + ("\r" + " " * 60 + "\r") * (done + 1 == of), nl=False, err=True)


def _rows(layers: list[dict[str, Any]], bits: tuple[int, ...]) -> list[tuple[object, ...]]:
    top = max((layer["loss"][str(min(bits))] for layer in layers), default=0.0)
    return [
        (
            layer["layer"], count_text(layer["weights"]), *(f"{layer['loss'][str(b)]:.2g}" for b in bits),
            "#" * round(BAR * layer["loss"][str(min(bits))] / top) if top > 0 else "", layer["chosen"],
        )
        for layer in layers
    ]  # fmt: skip
