"""`kompakt verify`: is the file whole, and does the engine compute exactly what the reference defines?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from .._core.errors import ArtifactError
from . import options
from .output import print_json

RANDOM_INPUTS = 8
THREADS = (1, 2)


@dataclass(frozen=True)
class Check:
    """One thing that was verified: what, whether it holds, and the evidence."""

    name: str
    ok: bool
    detail: str


@click.command(short_help="Check a file, and the engine against the reference, bit for bit.")
@options.model_file
@click.option("--data", help="Also on test images: cifar10, mnist, .., or FILE.py:FUNCTION.")
@click.option("--limit", type=click.IntRange(min=1), default=16, show_default=True, help="How many test images.")
@options.as_json
def verify(file: Path, data: str | None, limit: int, as_json: bool) -> int:
    """Read the file with both readers, then compare every value of every node with the NumPy reference, on every
    instruction set level of this CPU, with one and two threads. Names the first node that differs.

    \b
    kompakt verify model.kpt
    kompakt verify model.kpt --data cifar10 --limit 64

    Exit code 0: everything holds. 1: the file is refused, or something differs.
    """
    checks = []
    for check in _checks(file.read_bytes(), data, limit):
        checks.append(check)
        if not as_json:
            click.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.name}: {check.detail}")
    is_ok = all(check.ok for check in checks)
    if as_json:
        print_json({"file": str(file), "ok": is_ok, "checks": [asdict(check) for check in checks]})
    return 0 if is_ok else 1


def _checks(raw: bytes, data: str | None, limit: int) -> Iterator[Check]:
    from .. import _native
    from ..artifact import from_bytes, sections
    from ..engine.agreement import Comparison

    try:
        program, metadata = from_bytes(raw)
    except ArtifactError as error:
        yield Check("file", False, f"refused ({error.kind}): {error}")
        return
    yield Check(
        "file",
        True,
        f"{len(raw)} bytes, {len(sections(raw)) - 1} sections, {len(program.nodes)} nodes, digests and spelling right",
    )
    try:
        _native.verify(raw)
        yield Check("native reader", True, "accepts the same bytes")
    except ArtifactError as error:
        yield Check("native reader", False, f"refuses what the Python reader accepts ({error.kind}): {error}")
        return
    x, what = _inputs(program.input_shape, metadata, data, limit)
    for bits in program.widths:
        comparison, width = Comparison(raw, program, x, bits or None), f"{bits} bits, " if bits else ""
        good = f"all {len(comparison.program.nodes)} nodes equal the reference bit for bit on {what}"
        for isa in _native.isa_levels():
            for threads in THREADS:
                difference = comparison.difference(isa, threads)
                name = f"{width}{isa}, {threads} thread{'s' * (threads > 1)}"
                yield Check(name, difference is None, str(difference or good))


def _inputs(
    shape: tuple[int, ...], metadata: dict[str, object], data: str | None, limit: int
) -> tuple[np.ndarray, str]:
    """Noise of very different strengths, zeros included, and test images where data were asked for."""
    strength = np.array([1, 1, 1, 0.01, 0.1, 10, 1000, 0], np.float32).reshape(-1, *[1] * len(shape))
    noise = np.random.default_rng(0).standard_normal((RANDOM_INPUTS, *shape), np.float32) * strength
    if data is None:
        return noise, f"{RANDOM_INPUTS} random inputs"
    from .origin import dataset_of

    dataset = dataset_of(metadata, data)
    images = dataset.normalise(dataset.test.images[:limit])
    return np.concatenate([noise, images]), f"{RANDOM_INPUTS} random inputs and {len(images)} test images"
