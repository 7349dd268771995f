"""`kompakt results`: records of runs, and the results page that is generated from them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from . import options
from .output import print_json


@click.command(short_help="Record finished runs, and write docs/results.md from all records.")
@click.argument("runs", metavar="[RUN_FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".", show_default=True,
    help="The checkout: holds results/, benchmarks/results/ and docs/.",
)  # fmt: skip
@options.as_json
def results(runs: tuple[Path, ...], root: Path, as_json: bool) -> None:
    """Write results/NAME-seedN.json for every RUN_FOLDER, then docs/results.md from all records, benchmarks included.

    Protocol, goal and published number are those of recipes/NAME.toml as it is now, if it describes the same training.

    \b
    kompakt results runs/resnet20-cifar10-lq-w2a2
    kompakt bench runs/resnet20-cifar10-lq-w2a2/model.kpt --save benchmarks/results/resnet20-cifar10-lq-w2a2.json
    kompakt results
    """
    from ..bench.results import update

    written = [_record(folder, root) for folder in runs]
    page = update(root)
    if as_json:
        print_json({"records": [str(path) for path in written], "page": str(page)})
        return
    for path in (*written, page):
        click.echo(path)


def _record(folder: Path, root: Path) -> Path:
    from .._core.files import atomic_write
    from ..bench.results import accuracy_record
    from ..report.folder import read

    run = read(folder)
    record = accuracy_record(run.result, run.env, root / "recipes")
    path = root / "results" / f"{record['recipe']}-seed{record['seeds'][0]}.json"
    atomic_write(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    return path
