"""One choice per item within a budget, at the least total loss: a multiple-choice knapsack, solved exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._core.errors import RecipeError


@dataclass(frozen=True)
class Option:
    """What a choice costs, in whole units such as bits, and what it loses."""

    cost: int
    loss: float


def allocate(items: Sequence[Sequence[Option]], budget: int) -> list[int]:
    """Index of the option of every item, so that the costs sum to `budget` at most and the losses to the least.

    A dynamic programme over the partial sums that no cheaper and better one dominates; exact.

    Raises: RecipeError if even the cheapest options exceed the budget.
    """
    cheapest = sum(min(option.cost for option in options) for options in items)
    if cheapest > budget:
        raise RecipeError(f"the budget of {budget} is below the {cheapest} of the cheapest choices; raise it")
    front: list[tuple[int, float, tuple[int, ...]]] = [(0, 0.0, ())]
    left = cheapest
    for options in items:
        left -= min(option.cost for option in options)
        grown = [
            (cost + option.cost, loss + option.loss, (*chosen, i))
            for cost, loss, chosen in front
            for i, option in enumerate(options)
            if cost + option.cost + left <= budget
        ]
        front = _undominated(grown)
    return list(front[-1][2])


def _undominated(sums: list[tuple[int, float, tuple[int, ...]]]) -> list[tuple[int, float, tuple[int, ...]]]:
    """Ascending in cost, strictly descending in loss."""
    kept: list[tuple[int, float, tuple[int, ...]]] = []
    for entry in sorted(sums):
        if not kept or entry[1] < kept[-1][1]:
            kept.append(entry)
    return kept
