"""AdaQAT: what the relaxed bit-width does for a given loss, and that only whole ones are computed with."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from kompakt.quant import METHODS, Moment, Quantizer, relaxed_bits
from kompakt.quant.relaxed_bits import PACE, REVERSALS, STRENGTH, probe_one
from kompakt.quant.rule import mean_weight_bits

PARTS = METHODS["adaqat"]


def weights(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(4, count // 4, generator=torch.Generator().manual_seed(seed))


def rules(*counts: int, most: int = 8, mean_bits: float = 1.0):
    """Rules with their weights; bits cost as long as these have more than `mean_bits`."""
    made = []
    for seed, count in enumerate(counts):
        quantizer, weight = Quantizer(PARTS, most, True), weights(count, seed)
        quantizer.fit(weight)
        quantizer.rule.mean_bits = mean_bits
        made.append((quantizer.rule, weight))
    return made


def activation():
    """The rule of activations, which have no budget."""
    quantizer = Quantizer(PARTS, 8, False, sample_axis=True)
    quantizer.fit(weights(40).clamp_min(0))
    return quantizer.rule, None


def probe(given, loss, penalty=1.0, steps=1):
    """Steps with a loss that is a function of the whole bit-widths in use; gives those that were ever in use."""
    used = set()

    def now():
        used.add(tuple(rule.whole_bits for rule, _ in given))
        return torch.tensor(float(loss(*(rule.whole_bits for rule, _ in given))), dtype=torch.float64)

    for _ in range(steps):
        probe_one(given, Moment(now(), now, penalty))
    return used


def test_without_a_gap_bits_fall_by_what_they_cost_alone():
    """Card, test 2: a constant loss."""
    given = rules(40)
    for steps in (1, 7):
        before = given[0][0].relaxed.item()
        probe(given, lambda bits: 0.7, penalty=8.0, steps=steps)
        assert before - given[0][0].relaxed.item() == pytest.approx(steps * PACE * 8 * STRENGTH, rel=1e-4)


def test_without_a_cost_bits_do_not_fall():
    """Card, test 2: λ = 0."""
    given = rules(40)
    given[0][0].relaxed.fill_(3.0)
    given[0][0].assign(3)
    probe(given, lambda bits: 4.0**-bits, penalty=0.0, steps=50)
    assert given[0][0].relaxed.item() > 3


@pytest.mark.parametrize("level", [3, 4, 5])
def test_bits_are_frozen_above_the_last_gap_that_pays(level):
    """Card, test 3: L(k) = c·4^-k, gap(k) = 3c·4^-k; the cost lies between the gaps of `level` and `level` + 1."""
    given = [activation()]
    rule, cost = given[0][0], 0.02
    scale = 2 * cost / (3 * 4.0**-level)
    used = probe(given, lambda bits: scale * 4.0**-bits, penalty=cost / STRENGTH, steps=600)
    assert (rule.whole_bits, bool(rule.frozen), rule.relaxed.item()) == (level + 1, True, level + 1)
    assert rule.reversals == REVERSALS
    assert min(used)[0] == level - 1  # the probe below the lower of the two
    before = rule.probes.item()
    assert probe(given, lambda bits: 0.0, steps=20) == {(level + 1,)}, "frozen ones must not be probed"
    assert rule.probes.item() == before


def test_dearer_bits_are_fewer():
    """Card, test 4."""
    found = []
    for penalty in (4.0, 16.0, 64.0):
        given = [activation()]
        probe(given, lambda bits: 4.0**-bits, penalty, steps=400)
        found.append(given[0][0].whole_bits)
    assert all(a >= b for a, b in pairwise(found)), found
    assert found[0] > found[-1]


def test_values_are_those_of_the_whole_bit_width():
    """Card, test 1."""
    (rule, weight), = rules(400)  # fmt: skip
    for relaxed, whole in ((8.0, 8), (5.2, 6), (5.0000005, 5), (4.9, 5), (2.0, 2)):
        rule.relaxed.fill_(relaxed)
        rule.learn(0.0, 0.0, weight)
        assert rule.whole_bits == whole
        codes = rule.grid.code(weight, rule.final_parameters())
        assert int(codes.max()) < 2**whole
        assert rule.parameters_of_grid()["bits"].item() == whole


def test_every_tensor_has_its_turn_and_its_share_of_the_cost():
    given = rules(40, 80, 20)
    for (rule, _), share in zip(given, (0.5, 2.0, 0.0), strict=True):
        rule.share = share
    probe(given, lambda *bits: 1.0, penalty=4.0, steps=9)
    assert [rule.probes.item() for rule, _ in given] == [3, 3, 3]
    expected = [8 - 3 * PACE * 4 * STRENGTH * share for share in (0.5, 2.0, 0.0)]
    assert [rule.relaxed.item() for rule, _ in given] == pytest.approx(expected, rel=1e-5)


def test_weights_cost_only_while_they_are_above_their_budget():
    given = rules(40, 120, mean_bits=5.0)
    probe(given, lambda *bits: 0.0, penalty=50.0, steps=60)
    assert mean_weight_bits(given) <= 5
    assert mean_weight_bits(given) > 4


def test_weights_are_not_frozen_above_their_budget():
    """The larger one of the bit-widths between which a weight goes to and fro does not fit."""
    given = rules(40, mean_bits=3.5)
    probe(given, lambda bits: 0.5 * 4.0**-bits, penalty=50.0, steps=80)
    assert given[0][0].reversals > REVERSALS
    assert not given[0][0].frozen
    given[0][0].mean_bits = 4.0
    probe(given, lambda bits: 0.5 * 4.0**-bits, penalty=50.0, steps=20)
    assert (given[0][0].whole_bits, bool(given[0][0].frozen)) == (4, True)


def test_activations_cost_whatever_the_weights_have():
    given = [activation(), *rules(40, mean_bits=8.0)]
    probe(given, lambda *bits: 0.0, penalty=50.0, steps=20)
    assert given[0][0].whole_bits < 8
    assert given[1][0].whole_bits == 8


def test_the_fewest_bits_are_compared_with_the_next_higher_ones():
    given = rules(40)
    given[0][0].relaxed.fill_(2.0)
    given[0][0].assign(2)
    assert probe(given, lambda bits: 10.0 if bits == 2 else 0.0, steps=2) == {(2,), (3,)}
    assert given[0][0].whole_bits == 3


def test_one_noisy_batch_moves_bits_by_half_a_bit_at_most():
    given = rules(40)
    given[0][0].relaxed.fill_(4.0)
    given[0][0].assign(4)
    probe(given, lambda bits: 1e6 * (bits < 4))
    assert given[0][0].relaxed.item() == pytest.approx(4 + relaxed_bits.LONGEST)


def test_two_bits_at_most_leave_nothing_to_learn():
    given = rules(40, most=2)
    assert probe(given, lambda bits: 0.0, penalty=50.0, steps=5) == {(2,)}
    assert given[0][0].probes == 0
