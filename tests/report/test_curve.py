"""From the lines of `metrics.jsonl` to the curve."""

import math

from tests.report import fixtures

from kompakt.report.curve import MAX_POINTS, read_curve


def epoch(number, **values):
    return {"event": "epoch", "epoch": number} | values


def step(loss):
    return {"event": "step", "loss": loss}


def stage(name):
    return {"event": "stage", "name": name}


def test_fixture():
    curve = read_curve(fixtures.metrics(30))
    assert len(curve.loss) == len(curve.accuracy) == 30
    assert curve.stages == ((0.0, "train"), (20.0, "snap"))
    assert curve.accuracy[-1] == (30.0, 90.37)
    assert curve.unit == "epoch"


def test_epochs_of_stages_that_each_count_from_zero_are_joined():
    lines = [stage("a"), epoch(0, loss=3), epoch(1, loss=2), stage("b"), epoch(0, loss=1)]
    curve = read_curve(lines)
    assert curve.loss == ((1.0, 3.0), (2.0, 2.0), (3.0, 1.0))
    assert curve.stages == ((0.0, "a"), (2.0, "b"))


def test_two_stages_of_one_name_are_two():
    curve = read_curve([stage("train"), epoch(0, loss=2), stage("train"), epoch(0, loss=1)])
    assert [y for _, y in curve.loss] == [2, 1]


def test_a_resumed_run_counts_an_epoch_once():
    lines = [stage("train"), epoch(0, loss=3), epoch(1, loss=2.5), stage("train"), epoch(1, loss=2), epoch(2, loss=1)]
    curve = read_curve(lines)
    assert [y for _, y in curve.loss] == [3, 2, 1]
    assert len(curve.stages) == 1


def test_loss_of_an_epoch_is_the_mean_of_its_steps_where_not_given():
    lines = [step(4), step(2), epoch(0, val_top1=50.0), step(1), epoch(1, val_top1=60.0)]
    assert [y for _, y in read_curve(lines).loss] == [3, 1]


def test_steps_alone():
    curve = read_curve([step(2), step(1)])
    assert curve.unit == "step"
    assert curve.loss == ((1.0, 2.0), (2.0, 1.0))


def test_values_that_are_no_numbers_are_left_out():
    lines = [epoch(0, loss=math.nan, val_top1="high"), epoch(1, loss=10**400, val_top1=True), epoch(2, loss=1.0)]
    curve = read_curve([*lines, {}, {"event": "other"}])
    assert curve.loss == ((3.0, 1.0),)
    assert curve.accuracy == ()


def test_a_long_run_is_thinned_to_means_and_an_exact_end():
    curve = read_curve([step(float(i)) for i in range(10_000)])
    assert len(curve.loss) <= MAX_POINTS
    assert curve.loss[-1] == (10_000.0, 9_999.0)
    assert all(a < b for (a, _), (b, _) in zip(curve.loss, curve.loss[1:], strict=False))


def test_nothing():
    assert read_curve([]).loss == ()
