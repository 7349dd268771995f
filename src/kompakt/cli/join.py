"""`kompakt join`: a cut file and its rest become the whole file again."""

from __future__ import annotations

from pathlib import Path

import click

from . import options
from .output import count_text


@click.command(short_help="Make the whole file again of a cut one and its rest.")
@options.model_file
@click.argument("rest", metavar="REST", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The new file.")
def join(file: Path, rest: Path, output: Path) -> None:
    """Only what a cut file lacks has to be delivered; what comes out is the file that was cut, byte for byte.

    \b
    kompakt cut model.kpt --bits 3 -o base.kpt --rest base.rest
    kompakt join base.kpt base.rest -o model.kpt
    """
    from .._core.files import atomic_write
    from ..artifact.rest import join as join_files

    data = join_files(file.read_bytes(), rest.read_bytes())
    atomic_write(output, data)
    click.echo(f"{output}: {count_text(len(data))} bytes")
