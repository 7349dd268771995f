"""`kompakt compress`: run a recipe."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from . import jobs, options
from .output import print_json
from .progress import progress


class Interrupted(click.ClickException):
    """A run was interrupted; the message says how to go on."""

    exit_code = 130

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


@click.command(short_help="Run a recipe: train, pack, evaluate, report.")
@click.argument("source", metavar="RECIPE.toml | MODEL.py:FUNCTION | zoo:NAME")
@click.option("--recipe", help=f"With a model: a recipe file or built-in recipe.  [default: {jobs.DEFAULT_RECIPE}]")
@click.option("--data", help="cifar10, mnist, .., or FILE.py:FUNCTION; replaces the recipe's data.")
@options.input_shape
@options.settings
@click.option("--folder", type=click.Path(path_type=Path), help="Where the run goes.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint.")
@click.option("--force", is_flag=True, help="Replace a run that is in the folder.")
@click.option("--smoke", is_flag=True, help="Every phase on two batches first: does it work at all?")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch.  [default: torch's own choice]")
@options.quiet
@options.as_json
def compress(
    source: str, recipe: str | None, data: str | None, input_shape: tuple[int, ...] | None,
    settings: dict[str, Any], folder: Path | None, resume: bool, force: bool, smoke: bool,
    threads: int | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Compress a network as a recipe says, and leave a run folder with `model.kpt` and `report.html`.

    \b
    kompakt compress recipes/resnet20-cifar10-lq-w2a2.toml --smoke
    kompakt compress recipes/resnet20-cifar10-lq-w2a2.toml -s train.epochs=8 --folder runs/short
    kompakt compress mynet.py:build --recipe w2a2-lq --data mydata.py:loaders --input 1,3,32,32
    kompakt compress zoo:cifar10-resnet20 --recipe w4a4-lsq --data cifar10

    FUNCTION takes no arguments; a model's returns a torch.nn.Module, data's a kompakt.data.Dataset or
    (train, test) pairs of images and labels. Ctrl-C saves the state; --resume goes on to the same result.
    """
    import torch

    from ..strategy import run_recipe

    if resume and force:
        raise click.UsageError("--resume goes on with a run, --force replaces it; give one of them")
    job = jobs.recipe_of(source, recipe, data, settings)
    jobs.check_has_data(job)
    folder = folder or job.folder()
    if force and not smoke:
        jobs.clear_folder(folder)
    if not (resume or smoke):
        jobs.check_folder(folder)
    if threads is not None:
        torch.set_num_threads(threads)
    with progress(quiet) as show:
        try:
            small = run_recipe(job, folder, resume=resume, smoke=smoke, input_shape=input_shape, on_progress=show)
        except KeyboardInterrupt:
            raise Interrupted(_how_to_resume(folder)) from None
    where = folder / "smoke" if smoke else folder
    if as_json:
        print_json(small.result)
        return
    click.echo(small.summary())
    click.echo(f"{where / 'model.kpt'}  {where / 'report.html'}")
    if smoke:
        click.echo("every phase works; these numbers are of two batches and mean nothing")


def _how_to_resume(folder: Path) -> str:
    if not (folder / "checkpoint.pt").exists():
        return "interrupted before the first checkpoint; nothing to resume"
    kept = [word for word in sys.argv[1:] if word not in ("--force", "--resume")]
    return f"interrupted; the state is saved, go on with:\n  {shlex.join(['kompakt', *kept, '--resume'])}"
