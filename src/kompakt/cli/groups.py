"""`kompakt groups`: how few bits are enough when only groups of classes must be told apart."""

from __future__ import annotations

from typing import Any

import click

from . import options
from .output import print_json, table

NAMES = {"top1": "classes", "group": "groups", "random": "random groups", "within": "within a group"}


@click.command(short_help="Fewest bits for groups of like classes instead of classes.")
@click.argument("source", metavar="MODEL.py:FUNCTION | zoo:NAME")
@click.option("--data", required=True, help="cifar10, mnist, .., or FILE.py:FUNCTION, with labels.")
@click.option("--groups", "count", default=5, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--recipe", default="w4a8", show_default=True, help="Recipe without training, whose weight bits vary.")
@click.option("--bits", default="2,3,4", show_default=True, callback=options.counts, help="Bit-widths to try.")
@click.option("--tolerance", default=1.0, show_default=True, help="Points of accuracy that may be lost.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first test images.")
@options.as_json
def groups(
    source: str, data: str, count: int, recipe: str, bits: tuple[int, ...], tolerance: float, limit: int | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Put classes with like classifier rows together, and look how many bits each task needs, in the engine.

    \b
    kompakt groups zoo:cifar10-resnet20 --data cifar10 --groups 5

    Random groups of the same sizes show what their mere number is worth; the difference counts. `within a group` is a
    network that keeps the outputs of one group only.
    """
    from ..strategy import search_groups

    found = search_groups(
        source, data, recipe, count, bits, tolerance, limit, lambda b: click.echo(f"{b} bits", err=True)
    )
    if as_json:
        print_json(found)
        return
    for number, members in enumerate(found["groups"]):
        click.echo(f"group {number}: classes {', '.join(map(str, members))}")
    click.echo("")
    click.echo(table(("weights", *NAMES.values()), [_row(result) for result in found["results"]], "lrrrr"))
    click.echo(f"\nfewest bits within {tolerance:g} points of float:")
    for what, name in NAMES.items():
        fewest = found["fewest"][what]
        click.echo(f"  {name}: {'none of these' if fewest is None else fewest}")


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    weights = "float" if result["bits"] is None else f"{result['bits']} bits"
    return (weights, *(f"{result[what]:.2f} %" for what in NAMES))
