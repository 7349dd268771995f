"""`kompakt bench`: how fast, beside other engines."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from . import options
from .output import print_json

CALIBRATION_IMAGES = 128


@click.command(short_help="Time a model file beside other engines.")
@options.model_file
@click.option(
    "--against",
    metavar="NAME,...",
    callback=options.words,
    help="Engines such as onnxruntime:int8, or all of a family: onnxruntime, openvino, torch.",
)
@click.option("--threads", metavar="N,...", callback=options.counts, default="1", help="Thread counts.  [default: 1]")
@click.option(
    "--batch", "batches", metavar="N,...", callback=options.counts, default="1", help="Batch sizes.  [default: 1]"
)
@click.option("--model", help="The float network: zoo:NAME or FILE.py:FUNCTION.  [default: what the file records]")
@click.option("--data", help="Inputs, which also calibrate int8 peers.  [default: what the file records]")
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True, help="Pairs of measurements.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Measuring time per pair of engines.",
)
@click.option("--save", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write the result as JSON.")
@options.as_json
def bench(
    file: Path, against: tuple[str, ...], threads: tuple[int, ...], batches: tuple[int, ...], model: str | None,
    data: str | None, rounds: int, seconds: float, target: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Median and spread of the time per call, in alternation with every peer in one process; says where ours is slower.

    \b
    kompakt bench model.kpt --against onnxruntime,openvino,torch --threads 1,2 --batch 1,32
    kompakt bench demo/model.kpt --model demo/net.py:build --data digits

    Peers run the same float network, or int8 made from it. They come with: pip install 'kompakt[bench]'.
    The first row is our engine against itself: if that is not near 1.00, the machine is too busy to say anything.
    """
    from ..bench import DEFAULT, format_table, run_bench, save
    from ..engine import load
    from .origin import dataset_of, float_model

    metadata = load(file).metadata
    source = float_model(metadata, model)
    dataset = dataset_of(metadata, data, model)
    calibration = np.ascontiguousarray(dataset.normalise(dataset.train.images[:CALIBRATION_IMAGES]))
    result = run_bench(
        file, source.module.eval(), calibration, against=_peers(against) or DEFAULT, threads=threads, batches=batches,
        rounds=rounds, seconds=seconds, progress=_progress,
    )  # fmt: skip
    if target is not None:
        save(result, target)
    if as_json:
        print_json(result.to_dict())
    else:
        click.echo(format_table(result), nl=False)


def _progress(text: str, done: float) -> None:
    click.echo(f"{done:4.0%}  {text}", err=True)


def _peers(names: tuple[str, ...]) -> list[str]:
    """`onnxruntime` stands for all of its variants."""
    from ..bench import PEERS

    found: list[str] = []
    for name in names:
        family = [peer for peer in PEERS if peer.split(":")[0] == name]
        found += family or [name]
    return found
