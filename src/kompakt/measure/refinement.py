"""In which order the layers of a nested program get their bits, when every byte should take off the most error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from .._core.errors import InputError
from ..artifact import Program, to_bytes
from ..artifact.cut import coarser, cut, nested_layers


def relative_errors(program: Program) -> dict[str, list[float]]:
    """Per layer of nested codes the squared error of its levels at 1, 2, .. bits, as a share of their power.

    The levels of all its bits are the truth; so the last entry is 0.
    """
    weights = {node.name: node.attrs["weight"] for node in program.nodes if node.name in nested_layers(program)}
    found = {}
    for name, weight in weights.items():
        truth = weight.levels().astype(np.float64)
        power = max(float(np.square(truth).sum()), 1e-30)
        each = (coarser(weight, b).levels() for b in range(1, weight.bits + 1))
        found[name] = [float(np.square(levels - truth).sum()) / power for levels in each]
    return found


def greedy_path(errors: Sequence[Sequence[float]], sizes: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Steps (item, choice), best first: each brings one item to a better choice, at the least error per unit of size.

    Every item starts at choice 0. Choices that lie above the lower hull of error over size are left out, so that gains
    per unit fall along the path; any beginning of the path is then the best that its size can buy, and a longer one
    never takes anything back.

    Args: errors, sizes: per item and choice; sizes ascend.
    """
    steps = []
    for item, (error, size) in enumerate(zip(errors, sizes, strict=True)):
        at = 0
        while at < len(error) - 1:
            gains = [(error[at] - error[j]) / (size[j] - size[at]) for j in range(at + 1, len(error))]
            best = max(gains)
            if best <= 0:
                break
            at += 1 + max(j for j, gain in enumerate(gains) if gain == best)
            steps.append((-best, item, at))
    return [(item, choice) for _, item, choice in sorted(steps)]


def bits_for_bytes(
    program: Program, file_bytes: int, metadata: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, int]:
    """Bits per nested layer, so that the file has `file_bytes` at most: the longest beginning of the greedy path.

    Errors are relative per layer and add up; budgets that grow never take bits from a layer. `metadata` of the file
    count.

    Raises: InputError if one bit in every layer is still too large, or nothing can be cut.
    """
    errors = relative_errors(program)
    if not errors:
        raise InputError("no layer has nested codes; compress with the recipe 'scalable'")
    names = list(errors)
    weights = {node.name: node.attrs["weight"] for node in program.nodes if node.name in errors}
    sizes = [[_bytes(weights[name].codes.size, b) for b in range(1, len(errors[name]) + 1)] for name in names]
    path = greedy_path([errors[name] for name in names], sizes)

    def after(count: int) -> dict[str, int]:
        bits = dict.fromkeys(names, 1)
        for item, choice in path[:count]:
            bits[names[item]] = choice + 1
        return bits

    low, high = 0, len(path)
    while low < high:
        middle = (low + high + 1) // 2
        is_small = len(to_bytes(cut(program, after(middle)), dict(metadata))) <= file_bytes
        low, high = (middle, high) if is_small else (low, middle - 1)
    smallest = len(to_bytes(cut(program, after(low)), dict(metadata)))
    if smallest > file_bytes:
        raise InputError(
            f"one bit in every layer still takes {smallest} bytes, more than {file_bytes}; raise the budget"
        )
    return after(low)


def _bytes(weights: int, bits: int) -> int:
    """Codes and one table of levels."""
    return (weights * bits + 7) // 8 + (1 << bits)
