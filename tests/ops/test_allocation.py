"""The knapsack against exhaustive search."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kompakt import RecipeError
from kompakt.ops.allocation import Option, allocate

OPTIONS = st.builds(Option, st.integers(0, 30), st.integers(0, 20).map(float))


@given(items=st.lists(st.lists(OPTIONS, min_size=1, max_size=4), min_size=1, max_size=6), budget=st.integers(0, 150))
def test_no_choice_within_the_budget_loses_less(items, budget):
    def total(chosen):
        picked = [options[i] for options, i in zip(items, chosen, strict=True)]
        return sum(o.cost for o in picked), sum(o.loss for o in picked)

    legal = [t for c in itertools.product(*(range(len(o)) for o in items)) if (t := total(c))[0] <= budget]
    if not legal:
        with pytest.raises(RecipeError, match="below the"):
            allocate(items, budget)
        return
    cost, loss = total(allocate(items, budget))
    assert cost <= budget
    assert loss == min(loss for _, loss in legal)
