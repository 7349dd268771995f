"""`kompakt new`: files to start from."""

from __future__ import annotations

import re
from pathlib import Path

import click

from .._core.errors import RecipeError

NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
TEMPLATES = Path(__file__).parent / "templates"


@click.group(short_help="Write a file to start from: a quantization method of your own.")
def new() -> None:
    """Write a file that works, to change into what you want."""


@new.command(short_help="A quantization method that passes its contract.")
@click.argument("name")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where NAME.py goes.")
def quantizer(name: str, folder: Path) -> None:
    """Write NAME.py with a rule of your own, which recipes use as NAME.py:NAME; the library stays as it is.

    \b
    kompakt new quantizer mine
    kompakt methods --check mine.py:mine
    kompakt compress mynet.py:build --recipe int8 -s stage.method=mine.py:mine --data mydata.py:samples
    """
    from .._core.files import atomic_write

    if not NAME.match(name):
        raise RecipeError(f"name: expected lower-case letters, digits and _, a letter first, got {name!r}")
    path = folder / f"{name}.py"
    if path.exists():
        raise RecipeError(f"{path}: is there already; give another name or --folder")
    text = (TEMPLATES / "quantizer.py.txt").read_text(encoding="utf-8")
    atomic_write(path, text.replace("NAME", name).encode())
    click.echo(f"{path}: edit it, then check it with `kompakt methods --check {path}:{name}`")
