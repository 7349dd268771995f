"""The table of quantization methods, one line each. Use, tests, the command line and the documentation draw from it."""

from __future__ import annotations

from .._core.errors import RecipeError, nearest
from .quantizer import Parts

ANY_SIGN, POSITIVE = False, True

METHODS: dict[str, Parts] = {
    "lq_nets": Parts("basis", "alternating_basis", "clipped", "channel", (1, 2, 3, 4), POSITIVE,
                     frozenset({"idempotent", "monotone"})),
    "lsq": Parts("uniform", "learned_step", "step_aware", "tensor", (2, 3, 4, 5, 6, 7, 8), ANY_SIGN,
                 frozenset({"idempotent", "monotone", "has_zero"})),
}  # fmt: skip


def method(name: str) -> Parts:
    """The parts of a method. Raises: RecipeError for an unknown name, with the nearest ones."""
    if name not in METHODS:
        raise RecipeError(f"unknown quantization method {name!r}; {nearest(name, METHODS)}")
    return METHODS[name]
