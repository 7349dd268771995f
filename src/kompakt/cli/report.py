"""`kompakt report`: the page of a run folder."""

from __future__ import annotations

from pathlib import Path

import click

from .output import print_json


@click.command(short_help="Write the report page of a run folder.")
@click.argument("folder", metavar="RUN_FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to.  [default: RUN_FOLDER/report.html]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the run's result as JSON, too.")
def report(folder: Path, output: Path | None, as_json: bool) -> None:
    """Write one offline HTML page: gain and loss, every layer, accuracy while training, how to reproduce.

    \b
    kompakt report runs/resnet20-cifar10-lq-w2a2
    """
    from ..report import summary_table, write
    from ..report.folder import read

    path = write(folder, output)
    result = read(folder).result
    if as_json:
        print_json({"report": str(path), "result": result})
        return
    click.echo(summary_table(result))
    click.echo(path)
