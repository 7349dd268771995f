"""`kompakt run`: a model file on an array."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from .._core.errors import InputError
from . import options
from .output import print_json

SHOWN = 8


@click.command(short_help="Run a model file on an array.")
@options.model_file
@click.argument(
    "array", metavar="[INPUT.npy]", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--random", "is_random", is_flag=True, help="Run on one input of standard normal noise, seed 0.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the result, float32, as .npy.")
@options.bits
@options.threads
@options.as_json
def run(
    file: Path, array: Path | None, is_random: bool, output: Path | None, bits: int | None, threads: int, as_json: bool
) -> None:
    """Run MODEL.kpt on a float32 array (N, ...) that is normalised as the network wants it. Needs no torch.

    \b
    kompakt run model.kpt images.npy --output logits.npy --threads 2
    kompakt run model.kpt --random
    kompakt run adaptive.kpt images.npy --bits 4
    """
    from ..engine import load

    if (array is None) == (not is_random):
        raise click.UsageError("give INPUT.npy or --random")
    engine = load(file, threads=threads)
    if bits is not None:
        engine.use(bits)
    x = (
        np.random.default_rng(0).standard_normal((1, *engine.input_shape), np.float32)
        if array is None
        else _read(array)
    )
    y = engine.run(x)
    if output is not None:
        _write(output, y)
    if as_json:
        print_json(
            {"shape": list(y.shape), "argmax": _argmax(y), "output": y.tolist() if output is None else str(output)}
        )
        return
    click.echo(f"{_shape(x)} -> {_shape(y)} float32, {engine.isa}, {threads} threads")
    for row in y.reshape(len(y), -1)[:SHOWN]:
        click.echo(
            "  ".join(f"{value:.6g}" for value in row[:SHOWN])
            + (" ..." if row.size > SHOWN else f"  (largest: {row.argmax()})")
        )
    if len(y) > SHOWN:
        click.echo(f"... {len(y) - SHOWN} more rows")


def _read(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
    except ValueError as error:
        raise InputError(f"{path}: expected a .npy file of float32 ({error})") from None
    if not isinstance(loaded, np.ndarray):
        raise InputError(f"{path}: expected one array in a .npy file, got an archive")
    return loaded


def _write(path: Path, y: np.ndarray) -> None:
    import io

    from .._core.files import atomic_write

    buffer = io.BytesIO()
    np.save(buffer, y, allow_pickle=False)
    atomic_write(path, buffer.getvalue())


def _argmax(y: np.ndarray) -> list[int]:
    return [int(i) for i in y.reshape(len(y), -1).argmax(1)] if y.size else []


def _shape(x: np.ndarray) -> str:
    return f"({', '.join(map(str, x.shape))})"
