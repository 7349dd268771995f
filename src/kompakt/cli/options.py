"""Values of the command line, and options that several commands share."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import click

_BARE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./:*-]*\Z")


def shape(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """`1,3,32,32`: a batch axis, then the shape of one input, which is what comes out."""
    if value is None:
        return None
    sizes = _positive_integers(value)
    if len(sizes) not in (2, 4):
        raise click.BadParameter(f"expected 1,C,H,W or 1,FEATURES, such as 1,3,32,32; got {value!r}")
    return sizes[1:]


def counts(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """`1,2,8`: positive integers."""
    numbers = _positive_integers(value)
    if not numbers:
        raise click.BadParameter(f"expected positive integers such as 1,2; got {value!r}")
    return numbers


def words(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """`a,b,c`: words."""
    return tuple(word.strip() for word in (value or "").split(",") if word.strip())


def parse_settings(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`train.epochs=3`: a key of the recipe and a TOML value; bare words are strings."""
    return dict(_setting(value) for value in values)


def _setting(value: str) -> tuple[str, Any]:
    key, found, text = value.partition("=")
    if not found or not key.strip():
        raise click.BadParameter(f"expected KEY=VALUE such as train.epochs=3; got {value!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if _BARE_WORD.match(text.strip()):
            return key.strip(), text.strip()
        raise click.BadParameter(
            f"{text!r} is no TOML value; a string with other signs needs quotes: '\"...\"'"
        ) from None


def _positive_integers(value: str) -> tuple[int, ...]:
    """The numbers, or none at all if one of them is not a positive integer."""
    parts = [part.strip() for part in value.split(",")]
    numbers = tuple(int(part) for part in parts if part.isascii() and part.isdigit())
    return numbers if len(numbers) == len(parts) and min(numbers) > 0 else ()


model_file = click.argument(
    "file", metavar="MODEL.kpt", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
input_shape = click.option(
    "--input", "input_shape", metavar="1,C,H,W", callback=shape, help="Shape of an example input, batch axis first."
)
settings = click.option(
    "-s", "--set", "settings", metavar="KEY=VALUE", multiple=True, callback=parse_settings,
    help="Override a key of the recipe; may be repeated.",
)  # fmt: skip
threads = click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of the engine."
)
bits = click.option(
    "--bits", type=click.IntRange(min=1), help="Of a file of several bit-widths: which one.  [default: the highest]"
)
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress; errors and the result only.")
