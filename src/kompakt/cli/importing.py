"""`kompakt import`: a model file of a network that was quantized elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from .._core.errors import RecipeError
from . import options
from .output import print_json


@click.command("import", short_help="Make a model file of a network that was quantized elsewhere.")
@click.argument("source", metavar="zoo:NAME")
@click.option(
    "--save", "target", type=click.Path(dir_okay=False, path_type=Path), default="model.kpt", show_default=True,
    help="Where the file goes.",
)  # fmt: skip
@options.as_json
def import_integers(source: str, target: Path, as_json: bool) -> None:
    """The stored 8-bit integers become a program as they are, zero points included; nothing is quantized again.

    \b
    kompakt import zoo:cifar10-resnet8-int8 --save resnet8.kpt
    kompakt evaluate resnet8.kpt --data cifar10

    NAME is a folder of models/ whose card lists quantized operations.
    """
    from .._core.files import atomic_write
    from ..deploy import import_network

    if not source.startswith("zoo:"):
        raise RecipeError(f"{source}: expected zoo:NAME, a network among the pretrained ones")
    data, layers = import_network(source.removeprefix("zoo:"))
    atomic_write(target, data)
    if as_json:
        print_json({"file": str(target), "bytes": len(data), "layers": layers})
        return
    click.echo(f"{target}: {len(data)} bytes, {layers} layers")
