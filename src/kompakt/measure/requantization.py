"""What it takes to make codes of sums: values and energy by operator, an estimate from the arithmetic alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from ..artifact import Node, Program, ValueType, check

INT32_ADD, FLOAT_ADD, FLOAT_MULTIPLY = 0.1, 0.9, 3.7
"""pJ in 45 nm. Source: Horowitz, "Computing's energy problem", ISSCC 2014."""


@dataclass(frozen=True)
class RequantizationCost:
    """One way from sums to codes, for one image.

    Attributes:
        way: "shift", "scale" (float products and sums), or "codebook" (comparison with thresholds).
        values: codes that are made so.
        energy_pj: of the operators that belong to the way.
    """

    way: str
    values: int
    energy_pj: float


def requantization_costs(program: Program) -> tuple[RequantizationCost, ...]:
    """Costs of all elementwise operators between sums and codes, by way; ways that do not occur are left out.

    What makes codes of the network's input, and floats of its last sums, is not between the two.

    Per value: `requantize` one addition for the bias, the rounding shift, an alignment and an addition for a residual,
    two comparisons; `affine` a product and a sum; `quantize` a product and two comparisons; `threshold` and `encode` a
    comparison per bit (bisection). A comparison counts as an addition, and a shift, which the source does not list, as
    an integer addition: that is ours. Conversions and memory are left out.

    Raises: ArtifactError if the program is not legal.
    """
    types = check(program)
    values = dict.fromkeys(("shift", "scale", "codebook"), 0)
    energy = dict.fromkeys(values, 0.0)
    for node in _between(program, types):
        way, price = _PRICES[node.op]
        count = prod(types[node.name].shape)
        energy[way] += count * price(node)
        values[way] += count if types[node.name].kind == "code" else 0
    return tuple(RequantizationCost(way, values[way], energy[way]) for way in values if energy[way])


def _between(program: Program, types: Mapping[str, ValueType]) -> list[Node]:
    """The elementwise nodes that come from sums or codes and end in codes."""
    begun = {name for name, value in types.items() if value.kind != "f32"}
    priced = []
    for node in program.nodes:
        if node.op in _PRICES and begun.intersection(node.inputs):
            begun.add(node.name)
            priced.append(node)
    ended = {name for name, value in types.items() if value.kind == "code"}
    for node in reversed(priced):
        if node.name in ended:
            ended.update(node.inputs)
    return [node for node in priced if node.name in ended]


def energy_per_value_pj(bits: int) -> Mapping[str, float]:
    """pJ to make one code of `bits` bits from one sum, without a residual, by each way."""
    return {
        "shift": 4 * INT32_ADD,
        "scale": FLOAT_MULTIPLY + FLOAT_ADD + _quantize_pj,
        "codebook": FLOAT_MULTIPLY + FLOAT_ADD + bits * FLOAT_ADD,
    }


_quantize_pj = FLOAT_MULTIPLY + 2 * FLOAT_ADD


def _bits(node: Node) -> int:
    return int(node.attrs["encoding"].bits)


_PRICES: Mapping[str, tuple[str, Callable[[Node], float]]] = {
    "requantize": ("shift", lambda node: (2 + 2 * len(node.inputs)) * INT32_ADD),
    "affine": ("scale", lambda node: FLOAT_MULTIPLY + FLOAT_ADD),
    "dequantize": ("scale", lambda node: FLOAT_MULTIPLY),
    "add": ("scale", lambda node: FLOAT_ADD),
    "clamp": ("scale", lambda node: FLOAT_ADD),
    "quantize": ("scale", lambda node: _quantize_pj),
    "threshold": ("codebook", lambda node: _bits(node) * INT32_ADD),
    "recode": ("codebook", lambda node: _bits(node) * INT32_ADD),
    "encode": ("codebook", lambda node: _bits(node) * FLOAT_ADD),
}
