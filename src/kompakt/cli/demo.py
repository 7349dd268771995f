"""`kompakt demo`: the whole job on data that need no download."""

from __future__ import annotations

from pathlib import Path

import click

from . import options
from .output import print_json
from .progress import progress


@click.command(short_help="The whole job on a small network, in a minute or two.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default="demo", show_default=True, help="Where the run goes."
)
@options.quiet
@options.as_json
def demo(folder: Path, quiet: bool, as_json: bool) -> None:
    """Train a small convolutional network on scikit-learn's handwritten digits, compress it to 2 bits, and run the
    packed file in the engine on images it has not seen.

    \b
    kompakt demo
    kompakt demo --folder /tmp/demo

    Leaves model.kpt, report.html, the float network (net.py) and the record of the run in the folder.
    """
    from ..strategy import run_demo

    with progress(quiet) as show:
        small = run_demo(folder, on_progress=show)
    if as_json:
        print_json(small.result)
        return
    model = folder / "model.kpt"
    click.echo(small.summary())
    click.echo(f"report:  {folder / 'report.html'}")
    click.echo(f"look:    kompakt inspect {model} --kernels")
    click.echo(f"check:   kompakt verify {model} --data digits")
    click.echo(f"compare: kompakt bench {model} --model {folder / 'net.py'}:build --data digits")
