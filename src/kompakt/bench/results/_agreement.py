"""What was trained beside what the engine runs, code by code."""

from __future__ import annotations

from ._entries import Entry
from ._markdown import count, table

HEADER = (
    "recipe", "seed", "bits", "images>", "same class>", "largest logit difference>", "codes compared>",
    "decided by rounding>", "wrong>",
)  # fmt: skip


def agreement_section(found: list[Entry]) -> str:
    """A line per run that was compared, and per bit-width of its file."""
    rows = [
        [
            record.recipe, ", ".join(map(str, record.seeds)), str(one.bits) if one.bits else entry.bits,
            count(one.images), count(one.argmax_equal), f"{one.max_abs_logit_difference:.1e}",
            count(one.codes_compared), count(one.codes_at_boundary), count(one.codes_wrong),
        ]
        for entry in found for record in entry.records for one in record.agreement
    ]  # fmt: skip
    return table(HEADER, rows)


def disagreements(found: list[Entry]) -> list[str]:
    """A sentence per run in which an image has another class, or a code differs that rounding does not decide."""
    return [
        f"{record.recipe}: engine and simulation differ in {count(one.codes_wrong)} of {count(one.codes_compared)} "
        f"codes and in the class of {count(one.images - one.argmax_equal)} of {count(one.images)} images."
        for entry in found for record in entry.records for one in record.agreement if not one.is_complete
    ]  # fmt: skip
