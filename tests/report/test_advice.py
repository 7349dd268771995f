"""Each rule speaks on its numbers and is silent without them."""

import pytest
from tests.report import fixtures

from kompakt.report.advice import advise
from kompakt.report.curve import Curve, read_curve
from kompakt.report.model import parse
from kompakt.report.text import plain

STEADY = tuple((float(i), 90.0) for i in range(20))
FLAT = Curve(loss=STEADY, accuracy=STEADY)
RISING = Curve(accuracy=tuple((float(i), 70.0 + i) for i in range(20)))


def said(curve=FLAT, **changes):
    found = advise(parse(fixtures.result() | changes), curve)
    return plain("\n".join(f"{item.finding} {item.action}" for item in found))


def engine(top1, **more):
    return {"engine": fixtures.result()["engine"] | {"top1": top1} | more, "fake_quant": {"top1": top1}}


def with_layer(index, **changes):
    layers = fixtures.layers()
    layers[index] |= changes
    return {"layers": layers}


def test_large_drop():
    words = said(RISING, recipe={"train": {"distill": 0}})
    assert "1.36 points of accuracy are lost" in words
    assert "In this order: train for more epochs: accuracy was still rising" in words
    assert words.index("more epochs") < words.index("3-bit weights") < words.index("distil from")
    assert "33 408 B more" in words  # 267 264 weights of 2 bits, one more bit each


def test_large_drop_without_a_cause_in_the_training():
    words = said(FLAT)
    assert "Use 3-bit weights" in words
    assert "more epochs" not in words
    assert "distil" not in words
    assert "this run had 0" in said(Curve())
    assert "this run had 0" in said(Curve(loss=STEADY[:3], unit="step"))
    assert "this run had 3" in said(Curve(loss=STEADY[:3]))


def test_large_drop_at_many_bits():
    layers = [one | {"weight_bits": 8} for one in fixtures.layers()]
    assert "Give the layers with the largest weight error more bits." in said(FLAT, layers=layers)


def test_free_drop_offers_fewer_bits():
    assert "Try 1-bit weights; the file would shrink by about 33 408 B" in said(**engine(91.6))
    assert "No accuracy is lost" in said(**engine(91.9))
    assert "1-bit" not in said(**engine(91.2))


def test_broken_engine_comes_first():
    words = said(**engine(90.37, bit_equal_to_reference={"equal": False}))
    assert words.startswith("The engine does not reproduce the integer reference. Do not use this file.")


def test_simulation_gap():
    assert "differs from the simulated one by -1.37 pt" in said(engine={"top1": 89.01})
    assert "differs from the simulated" not in said()
    exact = {"codes_compared": 9_000_000, "codes_wrong": 3}
    gap = {"top1": 89.01, "integer_exact": exact}
    assert "3 of 9 000 000 codes of the engine are not those of the simulation. What was trained" in said(engine=gap)
    assert "simulat" not in said(engine=gap | {"integer_exact": exact | {"codes_wrong": 0}})


@pytest.mark.parametrize("name", ["thresholds", "manifest", "floats", "bases", "header"])
def test_overhead_names_the_largest_part(name):
    words = said(sections={"codes": 50_000, "directions": 100, name: 37_700})
    assert f"43.1 % of the file is not weight codes; the largest part is “{name}” with 37 700 B" in words
    assert "not weight codes" not in said(sections={"codes": 80_000, name: 7_800})


def test_first_and_last_layer():
    assert "first and last layer hold" not in said()
    words = said(**with_layer(-1, packed_bytes=100_000))
    assert "The first and last layer hold 60.0 % of the packed weights. Try 4 bits for them instead of 8" in words


def test_one_layer_costs_most():
    assert "layer1.0.conv1 alone takes" in said(**with_layer(1, bops=1e9))
    assert "alone takes" not in said()


def test_worst_layer():
    words = said(**with_layer(5, weight_error=0.4))
    assert "layer1.2.conv1 has a weight error of 0.4, 3." in words
    assert "One more bit for this layer costs 288 B" in words
    assert "weight error" not in said()


def test_float_layers():
    words = said(**with_layer(3, weight_bits=32, packed_bytes=50_000))
    assert "1 layer(s) left in float hold 56.9 % of the file" in words


def test_published_is_higher():
    assert "published accuracy is +0.63 pt higher" in said(published={"value": 91.0, "source": "s"})
    assert "published accuracy" not in said()


def test_speed():
    assert "openvino:int8 is 1.12 times as fast (1 thread, batch 1)" in said()
    assert "kompakt bench" in said(latency=None)
    own = [fixtures.bench("kompakt", 1, 0.99)]
    assert "as fast" not in said(latency={"aa_rows": own, "rows": [fixtures.bench("x", 2, 2)]})
    assert "as fast" not in said(latency={"aa_rows": own, "rows": [fixtures.bench("x", 1, 0.5) | {"threads": 2}]})


def test_one_seed():
    assert "one seed (0)" in said()
    assert "one seed" not in said(seed=None)


def test_a_result_without_numbers_gets_only_the_advice_to_measure():
    found = advise(parse({"name": "r", "file_bytes": 10}), Curve())
    assert len(found) == 1
    assert "Speed was not measured" in found[0].finding


def test_the_fixture_curve_still_rises():
    assert read_curve(fixtures.metrics()).is_rising
    assert not FLAT.is_rising
    assert not Curve().is_rising
