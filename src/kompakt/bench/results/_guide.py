"""The guide: which method for which situation, its figures taken from the records."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jinja2

from . import _choice as choice
from ._entries import Entry
from ._records import BenchRecord

NOT_MEASURED = "not measured yet"


def render_guide(found: Sequence[Entry], benches: Sequence[BenchRecord]) -> str:
    """The page as Markdown: the text of `which_method.md.j2` with figures and tables of the records."""
    recipes = {entry.first.recipe: entry for entry in found}

    def figure(recipe: str) -> str:
        return choice.figure(recipes[recipe]) if recipe in recipes else NOT_MEASURED

    def trained(weights: Any, activations: Any) -> str:
        entry = choice.trained_at(found, str(weights), str(activations))
        if entry is None:
            return NOT_MEASURED
        return f"{choice.figure(entry)} (`{entry.first.recipe}`, {entry.first.protocol} protocol)"

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = environment.from_string(files(__package__).joinpath("which_method.md.j2").read_text(encoding="utf-8"))
    return template.render(
        figure=figure, trained=trained, by_size=choice.by_size(found), by_bits=choice.by_bits(found),
        by_network=choice.by_network(found), by_processor=choice.by_processor(benches),
    )  # fmt: skip
