"""`kompakt evaluate`: accuracy of a model file in the engine."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .._core.errors import DataError
from . import options
from .output import print_json

BATCH = 250


@click.command(short_help="Accuracy of a model file, in the engine.")
@options.model_file
@click.option("--data", help="cifar10, mnist, .., or FILE.py:FUNCTION.  [default: what the file was made with]")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first images.")
@options.bits
@options.threads
@options.as_json
def evaluate(file: Path, data: str | None, limit: int | None, bits: int | None, threads: int, as_json: bool) -> None:
    """Share of right answers on the test split, computed by the engine; torch is not used. Of language models also the
    bits per character or word, and the perplexity, which is 2 to that power.

    \b
    kompakt evaluate runs/resnet20-cifar10-lq-w2a2/model.kpt --threads 2
    kompakt evaluate model.kpt --data mydata.py:loaders --limit 1000

    Images are normalised as the network's card says (zoo networks), else as the data set says.
    """
    from ..data import NO_LABEL, Tally, batch_size_of, judged
    from ..engine import load
    from .origin import dataset_of

    engine = load(file, threads=threads)
    if bits is not None:
        engine.use(bits)
    dataset = dataset_of(engine.metadata, data)
    if not dataset.test.is_labelled:
        raise DataError(f"{dataset.name}: samples without labels have no accuracy; give (images, labels)")
    test = dataset.test.head(limit or len(dataset.test))
    started = time.perf_counter()
    tally, size = Tally(test.labels.ndim == 2), batch_size_of(test, BATCH)
    for first in range(0, len(test), size):
        part = test.part(first, first + size)
        tally.add(judged(engine.run(dataset.normalise(part.images)), part), part.labels[part.labels != NO_LABEL])
    seconds, found = time.perf_counter() - started, tally.quality()
    if as_json:
        print_json({
            "file": str(file), "data": dataset.name, "images": tally.count, "right": tally.right, **found,
            "threads": threads, "isa": engine.isa, "seconds": round(seconds, 3),
        })  # fmt: skip
        return
    where = f"{engine.isa}, {threads} thread{'s' * (threads > 1)}, {seconds:.1f} s"
    loss = f", {found['bits']:.4f} bits per step (perplexity {2 ** found['bits']:.4g})" if "bits" in found else ""
    what = "steps" if loss else "images"
    click.echo(f"{found['top1']:.2f} %{loss}  ({tally.right} of {tally.count} {what} of {dataset.name}; {where})")
