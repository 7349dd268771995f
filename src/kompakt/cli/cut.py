"""`kompakt cut`: a smaller file from a scalable one, without data."""

from __future__ import annotations

from pathlib import Path

import click

from . import options
from .output import count_text, print_json, table


@click.command(short_help="Make a smaller file from a scalable one, without data.")
@options.model_file
@click.option("--bits", type=click.IntRange(1, 8), help="Of every layer that can be cut.")
@click.option(
    "--bytes", "file_bytes", type=click.IntRange(min=1), help="Largest size of the file; bits go where they count."
)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The new file.")
@click.option("--rest", type=click.Path(dir_okay=False, path_type=Path), help="Also write what is missing, see `join`.")
@options.as_json
def cut(
    file: Path, bits: int | None, file_bytes: int | None, output: Path, rest: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Drop the last bits of nested codes (recipe `scalable`). Data and the network are not needed; torch is not used.

    \b
    kompakt cut model.kpt --bits 4 -o model-4.kpt
    kompakt cut model.kpt --bytes 120000 -o small.kpt --rest small.rest

    Cutting in steps gives the same file as cutting at once. Layers that are not nested stay as they are. Of a file of
    several bit-widths (method `adaptive`), the file of one.
    """
    from .._core.errors import InputError
    from .._core.files import atomic_write
    from ..artifact import from_bytes, to_bytes
    from ..artifact.cut import cut as cut_program
    from ..artifact.cut import nested_layers
    from ..artifact.rest import rest_of
    from ..artifact.variants import weights_of
    from ..measure.refinement import bits_for_bytes

    if (bits is None) == (file_bytes is None):
        raise click.UsageError("give either --bits or --bytes")
    program, metadata = from_bytes(file.read_bytes())
    if program.variants:
        if bits is None or rest is not None:
            raise click.UsageError("a file of several bit-widths is cut to one of them: --bits alone")
        smaller = program.at(bits)
        before, chosen = ({name: w.bits for name, w in weights_of(p.nodes).items()} for p in (program, smaller))
    else:
        before = nested_layers(program)
        if not before:
            raise InputError(f"{file}: no layer has nested codes; compress with the recipe 'scalable'")
        if file_bytes is not None:
            chosen = bits_for_bytes(program, file_bytes, metadata)
        else:
            chosen = {name: min(own, bits or own) for name, own in before.items()}
        smaller = cut_program(program, chosen)
    data = to_bytes(smaller, metadata)
    atomic_write(output, data)
    if rest is not None:
        atomic_write(rest, rest_of(file.read_bytes(), data))
    if as_json:
        print_json({"file": str(output), "bytes": len(data), "from_bytes": file.stat().st_size, "bits": chosen})
        return
    click.echo(table(("layer", "bits", "before"), [(name, chosen[name], before[name]) for name in before], "lrr"))
    click.echo(f"\n{output}: {count_text(len(data))} bytes (from {count_text(file.stat().st_size)})")
