"""`kompakt bench`: how fast, beside other engines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .._core.errors import InputError, RecipeError
from . import jobs, options
from .output import print_json

if TYPE_CHECKING:
    from ..bench import Subject
    from ..strategy.sources import ModelSource

CALIBRATION_IMAGES = 128
NOISE_VALUES = 3_000_000  # of a network without data: 20 images of 224x224, and no more than the number above


@click.command(short_help="Time a model file or a network beside other engines.")
@click.argument("source", metavar="MODEL.kpt | zoo:NAME | MODEL.py:FUNCTION")
@click.option("--bits", help="Of a network, which is packed untrained: w2a2, w1a1, w4a8, w8a8, w2a2-lq, ...")
@click.option(
    "--against",
    metavar="NAME,...",
    callback=options.words,
    help="Engines such as onnxruntime:int8; all of a family: onnxruntime, openvino, torch, litert; or all.",
)
@click.option("--hide", type=click.Choice(["amx", "avx512"]), help="Measure as on a CPU without it, for every engine.")
@click.option("--threads", metavar="N,...", callback=options.counts, default="1", help="Thread counts.  [default: 1]")
@click.option(
    "--batch", "batches", metavar="N,...", callback=options.counts, default="1", help="Batch sizes.  [default: 1]"
)
@click.option("--model", help="Of a model file: the float network.  [default: what the file records]")
@click.option(
    "--data", help="Inputs, which also calibrate int8 peers.  [default: what the file records; noise for zoo:NAME]"
)
@click.option("--rounds", default=20, show_default=True, help="Pairs of measurements, 6 or more.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Measuring time per pair of engines.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="SECONDS", help="End the process if one row takes longer.")
@click.option("--save", "target", type=click.Path(dir_okay=False, path_type=Path), help="Keep the rows as JSON.")
@click.option("--resume", is_flag=True, help="Go on with the rows of --save; an engine that ended a run is left out.")
@options.as_json
def bench(
    source: str, bits: str | None, against: tuple[str, ...], hide: str | None, threads: tuple[int, ...],
    batches: tuple[int, ...], model: str | None, data: str | None, rounds: int, seconds: float, limit: int | None,
    target: Path | None, resume: bool, as_json: bool,
) -> None:  # fmt: skip
    """Time per call in alternation with every peer in one process, and error against the float network.

    \b
    kompakt bench model.kpt --against onnxruntime,openvino,torch --threads 1,2 --batch 1,32
    kompakt bench zoo:resnet18 --bits w2a2 --hide avx512 --save r18.json --resume
    kompakt bench demo/model.kpt --model demo/net.py:build --data digits

    Peers run the same float network, or what their tools make of it. They come with: pip install 'kompakt[bench]'.
    The first row is our engine against itself: if that is not near 1.00, the machine is too busy to say anything.
    """
    from ..bench import DEFAULT, Plan, expand, format_table, hidden, rerun, run_bench

    plan = Plan(expand(against) or DEFAULT, threads, batches, rounds, seconds, limit)
    if resume and target is None:
        raise click.UsageError("--resume goes on with the file of --save; name it")
    if hide is not None and hidden() != hide:
        sys.exit(rerun(sys.argv[1:], hide))
    subject = _of_network(source, bits, data) if jobs.is_model(source) else _of_file(source, bits, model, data)
    result = run_bench(subject, plan, _progress, target, resume)
    if as_json:
        print_json(result.to_dict())
    else:
        click.echo(format_table(result), nl=False)


def _of_file(source: str, bits: str | None, model: str | None, data: str | None) -> Subject:
    """A model file, with the network and the data that it names."""
    from ..bench import Subject
    from ..engine import load
    from .origin import dataset_of, float_model, recipe_lines

    if bits is not None:
        raise click.UsageError("--bits is for a network (zoo:NAME, FILE.py:FUNCTION); a model file has its bits")
    if not Path(source).is_file():
        raise RecipeError(f"{source}: no such file; give MODEL.kpt, zoo:NAME or FILE.py:FUNCTION")
    metadata = load(source).metadata
    network = float_model(metadata, model)
    if data is None and not network.is_trained:
        calibration = _noise(network)
    else:
        dataset = dataset_of(metadata, data, model)
        calibration = dataset.normalise(dataset.train.images[:CALIBRATION_IMAGES])
    name = recipe_lines(metadata).get("name", Path(source).stem)
    return Subject(name, Path(source).read_bytes(), network.module.eval(), np.ascontiguousarray(calibration))


def _of_network(source: str, bits: str | None, data: str | None) -> Subject:
    """A network, packed here without training."""
    from ..bench import Subject
    from ..strategy.sources import load_data, load_model
    from ..strategy.untrained import BitWord, pack_untrained

    if bits is None:
        raise click.UsageError(f"{source}: give its bit-widths, such as --bits w2a2")
    word, network = BitWord.parse(bits), load_model(source)
    if data is not None:
        dataset = load_data(data, network)
        calibration = np.ascontiguousarray(dataset.normalise(dataset.train.images[:CALIBRATION_IMAGES]))
    else:
        calibration = _noise(network)
    name = source.removeprefix("zoo:")
    return Subject(name, pack_untrained(network, calibration, word), network.module.eval(), calibration, bits.lower())


def _noise(network: ModelSource) -> Any:
    """Inputs of a network that no data belong to."""
    from ..zoo import noise

    shape = network.input_shape
    if shape is None:
        raise InputError(f"{network.name}: its input shape is unknown; give --data")
    count = max(8, min(CALIBRATION_IMAGES, NOISE_VALUES // int(np.prod(shape))))
    return noise(shape, count, tokens=network.tokens)


def _progress(text: str, done: float) -> None:
    click.echo(f"{done:4.0%}  {text}", err=True)
