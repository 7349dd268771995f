"""The table of quantization methods, one line each. Use, tests, the command line and the documentation draw from it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .._core.errors import RecipeError, nearest
from ..data import user_object
from .quantizer import SIGNED, UNSIGNED, WEIGHTS, Parts

ONLY_WEIGHTS = frozenset({WEIGHTS})
AFTER_RELU = frozenset({WEIGHTS, UNSIGNED})
RECTIFIED = frozenset({UNSIGNED})
ACTIVATIONS = frozenset({UNSIGNED, SIGNED})
DYADIC = frozenset({"dyadic"})
WITH_ZERO = frozenset({"idempotent", "monotone", "has_zero"})
TWO_TO_EIGHT = (2, 3, 4, 5, 6, 7, 8)

METHODS: dict[str, Parts] = {
    "lq_nets": Parts("basis", "alternating_basis", "clipped", "channel", (1, 2, 3, 4), roles=AFTER_RELU,
                     claims=frozenset({"idempotent", "monotone"})),
    "lsq": Parts("uniform", "learned_step", "step_aware", "tensor", TWO_TO_EIGHT, claims=WITH_ZERO),
    "lsq_channel": Parts("uniform", "learned_step", "step_aware", "channel", TWO_TO_EIGHT, claims=WITH_ZERO),
    "lsq_plus": Parts("offset", "learned_offset", "offset_aware", "tensor", TWO_TO_EIGHT, roles=ACTIVATIONS,
                      claims=WITH_ZERO),
    "pact": Parts("uniform", "learned_clip", "clip_only", "tensor", (1, *TWO_TO_EIGHT), roles=RECTIFIED,
                  claims=WITH_ZERO),
    "pact_plus": Parts("uniform", "learned_clip", "step_aware", "tensor", (1, *TWO_TO_EIGHT), roles=RECTIFIED,
                       claims=WITH_ZERO),
    "sawb": Parts("mid_rise", "moment_clip", "saturated", "tensor", (1, 2, 3, 4, 5), roles=ONLY_WEIGHTS,
                  claims=frozenset({"idempotent", "monotone", "scale_equivariant"})),
    "sawb_zero": Parts("symmetric", "moment_clip", "saturated", "tensor", (2, 4, 7, 8), roles=ONLY_WEIGHTS,
                       claims=WITH_ZERO | {"odd", "scale_equivariant"}),
    "bnn": Parts("mid_rise", "unit_step", "saturated", "tensor", (1,), roles=frozenset({WEIGHTS, SIGNED}),
                 claims=frozenset({"idempotent", "monotone"})),
    "syq": Parts("signs", "symmetric_scales", "scaled", "tensor", (1, 2), roles=ONLY_WEIGHTS),
    "syq_row": Parts("signs_of_rows", "symmetric_scales", "scaled", "row", (1, 2), roles=ONLY_WEIGHTS),
    "syq_pixel": Parts("signs_of_positions", "symmetric_scales", "scaled", "position", (1, 2), roles=ONLY_WEIGHTS),
    "qnn_log": Parts("codebook", "powers_of_two", "saturated", "tensor", (2, 3, 4), roles=ONLY_WEIGHTS,
                     claims=WITH_ZERO),
    "discrete_powers": Parts("codebook", "discrete_powers_of_two", "straight_through", "tensor", (2, 3, 4),
                            roles=ONLY_WEIGHTS, claims=WITH_ZERO),
    "apot": Parts("codebook", "additive_powers_of_two", "clip_aware", "tensor", (2, 3, 4), roles=AFTER_RELU,
                  claims=frozenset({"monotone", "scale_equivariant"})),
    "adabin": Parts("codebook", "two_levels", "two_sided", "channel", (1,), claims=frozenset({"monotone"})),
    "bit_pruning": Parts("interpolated", "learned_bits", "interpolated", "channel", (1, *TWO_TO_EIGHT),
                         roles=AFTER_RELU, claims=frozenset({"idempotent", "monotone"})),
    "adaqat": Parts("assigned", "relaxed_bits", "assigned", "tensor", TWO_TO_EIGHT, claims=WITH_ZERO),
    "bmpq": Parts("assigned", "ranked_bits", "assigned", "tensor", TWO_TO_EIGHT, roles=ONLY_WEIGHTS, claims=WITH_ZERO),
    "min_max": Parts("uniform", "largest_step", "step_aware", "channel", TWO_TO_EIGHT, claims=WITH_ZERO),
    "min_max_symmetric": Parts("symmetric", "largest_step", "step_aware", "channel", TWO_TO_EIGHT, roles=ONLY_WEIGHTS,
                               claims=WITH_ZERO | {"odd"}),
    "min_max_affine": Parts("codebook", "affine_levels", "straight_through", "channel", (2, 3, 4, 5, 6, 7),
                            roles=ONLY_WEIGHTS, claims=WITH_ZERO),
    "powers": Parts("codebook", "power_levels", "straight_through", "channel", (2, 3, 4), roles=ONLY_WEIGHTS,
                    claims=WITH_ZERO),
    "percentile": Parts("uniform", "percentile_step", "step_aware", "channel", TWO_TO_EIGHT, claims=WITH_ZERO),
    "mmse": Parts("uniform", "least_squares_step", "step_aware", "channel", TWO_TO_EIGHT, claims=WITH_ZERO),
    "mmse_dual": Parts("binary_basis", "joint_steps", "straight_through", "channel", (4, 6, 8), roles=ONLY_WEIGHTS,
                       claims=WITH_ZERO),
    "entropy": Parts("uniform", "entropy_step", "step_aware", "channel", TWO_TO_EIGHT, claims=WITH_ZERO),
    "fixed_point": Parts("signed", "single_batch_step", "step_aware", "channel", (6, 7, 8), claims=WITH_ZERO),
    "shift": Parts("half_up", "power_of_two_step", "step_aware", "tensor", TWO_TO_EIGHT, claims=WITH_ZERO | DYADIC),
    "shift_channel": Parts("half_up", "power_of_two_step", "step_aware", "channel", TWO_TO_EIGHT,
                           claims=WITH_ZERO | DYADIC),
    "dp_net": Parts("codebook", "optimal_clusters", "straight_through", "channel", (1, 2, 3, 4), roles=ONLY_WEIGHTS,
                    claims=frozenset({"idempotent", "monotone"})),
    "dp_net_trained": Parts("codebook", "friendly_clusters", "postponed", "tensor", (1, 2, 3, 4), roles=ONLY_WEIGHTS,
                            claims=frozenset({"idempotent", "monotone"})),
    "scalable": Parts("codebook", "nested_clusters", "straight_through", "channel", (1, *TWO_TO_EIGHT),
                      roles=ONLY_WEIGHTS, claims=frozenset({"idempotent", "monotone"})),
    "adaptive": Parts("nested", "shared_clip", "nested_aware", "channel", TWO_TO_EIGHT, roles=ONLY_WEIGHTS,
                      claims=frozenset({"idempotent", "monotone", "nested"})),
    "tnt": Parts("symmetric", "ternary_step", "step_aware", "channel", (2,), roles=ONLY_WEIGHTS, claims=WITH_ZERO),
}  # fmt: skip


def method(name: str) -> Parts:
    """The parts of a method: an entry of the table, or `FILE.py:NAME`, the `Parts` that a file of yours holds.

    Raises: RecipeError for an unknown name, with the nearest ones, or naming what is wrong with the file.
    """
    if ".py:" in name:
        path = Path(name.rpartition(":")[0])
        return _own_method(name, path.stat().st_mtime_ns if path.is_file() else 0)
    if name not in METHODS:
        raise RecipeError(f"unknown quantization method {name!r}; {nearest(name, METHODS)}")
    return METHODS[name]


@cache
def _own_method(source: str, changed_ns: int) -> Parts:
    """Imported once for as long as the file stays as it is."""
    return user_object(source, "method", Parts)
