"""The headline, the before/after table, the checks, and what they say when numbers are missing."""

import pytest
from tests.report import fixtures

from kompakt.report import facts, summary_table, text
from kompakt.report.model import parse


def parsed(**changes):
    return parse(fixtures.result() | changes)


MEASURED = {"top1": 91.73, "bytes": 1000}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "ResNet-20 is 12.4 times smaller and lost 1.36 points of accuracy."),
        ({"engine": {"top1": 92.0}}, "ResNet-20 is 12.4 times smaller and gained 0.27 points of accuracy."),
        ({"engine": {"top1": 91.73}}, "ResNet-20 is 12.4 times smaller and kept its accuracy."),
        ({"engine": {}}, "ResNet-20 is 12.4 times smaller and lost 1.35 points of accuracy."),
        ({"engine": {}, "fake_quant": {}}, "ResNet-20 is 12.4 times smaller; its accuracy was not measured."),
        ({"float": {}}, "ResNet-20 now takes 87 800 B; its accuracy was not measured."),
        ({"float": MEASURED}, "ResNet-20 did not get smaller (1 000 B before, 87 800 B after) and lost 1.36 points"),
        (
            {"engine": {"top1": 92.0, "bit_equal_to_reference": {"equal": False}}},
            "ResNet-20 is 12.4 times smaller and gained 0.27 points of accuracy, but the engine computes it wrongly.",
        ),
        ({"model": "zoo:cifar10-resnet20"}, "cifar10-resnet20 is 12.4 times smaller"),
        ({"model": None}, "resnet20-w2a2-lq is 12.4 times smaller"),
    ],
)
def test_headline_says_gain_and_loss(changes, sentence):
    assert text.plain(facts.headline(parsed(**changes))).startswith(sentence)


def test_summary_table_is_aligned_ascii():
    table = summary_table(fixtures.result())
    assert table.isascii()
    lines = table.splitlines()
    assert lines[0].split() == ["before", "after", "ratio"]
    assert lines[1].split("  ")[0] == "size on disk"
    assert [line.rstrip().endswith(("x", "pt")) for line in lines[1:4]] == [True] * 3
    ends = {len(line) for line in lines[:4]}
    assert len(ends) == 1
    assert "1 092 520 B" in lines[1]
    assert "87 800 B" in lines[1]
    assert "engine = integer reference  yes (2 560 output values of 256 images compared, all bit-equal)" in lines
    assert any(line.startswith("latency, 1 thread, batch 1") for line in lines)


def test_summary_of_the_smallest_result():
    table = summary_table({"name": "r", "file_bytes": 10})
    assert "10 B" in table
    assert "accuracy" not in table
    assert table.count("not checked") == 4


def test_bops_of_the_float_model_are_macs_times_1024():
    result = parsed(macs=3, float={"macs": 2})
    assert facts.float_bops(result) == 2048
    assert facts.total_macs(result) == 3


def test_published_value_enters_no_row():
    rows = facts.comparison(parsed(published={"value": 12.345, "source": "a paper"}))
    assert "12.3" not in repr(rows)


FLOAT32_DIFFERS = {"argmax_equal_to_fake_quant": 9900, "images": 10000}


@pytest.mark.parametrize(
    ("engine", "passed"),
    [
        ({"argmax_equal_to_fake_quant": 10000, "images": 10000}, True),
        ({"argmax_equal_to_fake_quant": 9990, "images": 10000}, True),
        ({"argmax_equal_to_fake_quant": 9989, "images": 10000}, False),
        ({"images": 10000}, None),
        ({"argmax_equal_to_fake_quant": 0, "images": 0}, None),
        ({**FLOAT32_DIFFERS, "integer_exact": {"images": 300, "argmax_equal": 300, "codes_wrong": 0}}, True),
        ({**FLOAT32_DIFFERS, "integer_exact": {"images": 300, "argmax_equal": 299, "codes_wrong": 0}}, False),
        ({**FLOAT32_DIFFERS, "integer_exact": {"images": 300, "argmax_equal": 300, "codes_wrong": 1}}, False),
        ({**FLOAT32_DIFFERS, "integer_exact": {"images": 300, "argmax_equal": 300}}, False),
        ({**FLOAT32_DIFFERS, "integer_exact": {"images": 300}}, False),
    ],
)
def test_simulation_check(engine, passed):
    assert facts.checks(parsed(engine=engine))[1].passed is passed


def test_the_simulation_check_says_how_many_codes_rounding_decides():
    exact = {"images": 300, "argmax_equal": 300, "codes_compared": 9_000_000, "codes_at_boundary": 17, "codes_wrong": 2}
    found = facts.checks(parsed(engine={**FLOAT32_DIFFERS, "integer_exact": exact}))[1]
    words = text.plain(found.evidence)
    assert "of 9 000 000 codes 17 lie where float32's rounding decides, 2 others differ" in words


@pytest.mark.parametrize("equal", [True, False, None])
def test_reference_check(equal):
    found = facts.checks(parsed(engine={"bit_equal_to_reference": {"images": 4, "values": 40, "equal": equal}}))[0]
    assert found.passed is equal
    assert ("not all bit-equal" in found.evidence) == (equal is False)


def test_every_bit_width_of_a_file_has_its_accuracy_and_checks():
    exact = {"images": 4, "values": 40, "equal": True}
    widths = [
        {"bits": bits, "engine": {"top1": top1, "images": 9, "bit_equal_to_reference": exact | {"equal": bits > 2}}}
        for bits, top1 in ((8, 91.38), (4, 91.35), (2, 87.8))
    ]
    found = parsed(float={"top1": 91.73}, engine=widths[0]["engine"], widths=widths)
    rows = [row for row in facts.comparison(found) if row.label.startswith("accuracy")]
    assert [row.label for row in rows] == ["accuracy, engine", "accuracy, engine, 4 bits", "accuracy, engine, 2 bits"]
    assert text.plain(rows[2].after) == "87.80 %"
    assert [c.passed for c in facts.checks(found) if c.claim.startswith("engine = integer")] == [True, True, False]
    assert facts.exactness(found).claim == "engine = integer reference, 2 bits"
    assert facts.headline(found).endswith("but the engine computes it wrongly.")


def test_latency_stands_beside_the_fastest_float_engine_only():
    row = facts.comparison(parsed())[-1]
    assert text.plain(row.before) == "1.05 ms"
    assert "openvino:fp32" in row.note
    assert text.plain(row.change) == "1.6x"
    alone = {"aa_rows": [fixtures.bench("kompakt", 0.5, 1.0)], "rows": [fixtures.bench("openvino:int8", 0.4, 0.8)]}
    row = facts.comparison(parsed(latency=alone))[-1]
    assert text.plain(row.before) == "-"
    assert "no float engine" in row.note


@pytest.mark.parametrize("median", [None, "fast", True, -1, 0, 10**400])
def test_unusable_latency_is_left_out(median):
    rows = [fixtures.bench("kompakt", 0.5, 1.0) | {"ms_median": median}, "not a row"]
    assert not any("latency" in row.label for row in facts.comparison(parsed(latency={"aa_rows": rows, "rows": None})))
