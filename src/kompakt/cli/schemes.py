"""`kompakt schemes`: methods side by side on a network's weights, without data."""

from __future__ import annotations

from dataclasses import asdict

import click

from . import options
from .output import print_json, table

METHODS = "min_max_affine,min_max_symmetric,powers,shift_channel,mmse,dp_net,scalable"


@click.command(short_help="Compare methods on the weights of a network, without data.")
@click.argument("source", metavar="MODEL.py:FUNCTION | zoo:NAME")
@click.option("--methods", default=METHODS, show_default=True, callback=options.words, help="Methods of weights.")
@click.option("--bits", default="2,3,4,6,8", show_default=True, callback=options.counts, help="Bit-widths to try.")
@options.input_shape
@options.as_json
def schemes(
    source: str, methods: tuple[str, ...], bits: tuple[int, ...], input_shape: tuple[int, ...] | None, as_json: bool
) -> None:
    """How far every method is from the weights, and how its levels lie; nothing but the weights is looked at.

    \b
    kompakt schemes zoo:cifar10-resnet20
    kompakt schemes mynet.py:build --input 1,3,32,32 --methods mmse,lq_nets --bits 2,3

    error: weights over their error, in dB (6 dB are one bit). range: largest level over the smallest but 0. zeros:
    share of the weights that become 0. used: levels that occur. Batch-norm is folded; both ends are left out.
    """
    from ..strategy import compare_schemes

    found = compare_schemes(source, methods, bits, input_shape)
    if as_json:
        print_json([asdict(scheme) for scheme in found])
        return
    rows = [
        (
            s.method, s.bits, f"{s.sqnr_db:.1f} dB", f"{s.range_db:.0f} dB", f"{100 * s.zero_fraction:.0f} %",
            f"{100 * s.occupancy:.0f} %",
        )
        for s in found
    ]  # fmt: skip
    click.echo(table(("method", "bits", "error", "range", "zeros", "used"), rows, "lrrrrr"))
