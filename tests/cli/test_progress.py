"""Progress without a terminal: few lines, each with what one wants to know."""

from __future__ import annotations

import pytest

from kompakt.cli.progress import MOST_LINES, Progress, _Lines, duration, position, training_text


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def records(hours: float, epochs: int = 30, steps: int = 390, every: int = 20) -> list[tuple[float, dict[str, object]]]:
    """What the training loop reports in a run of that length, with the time of each record."""
    made: list[tuple[float, dict[str, object]]] = []
    total = hours * 3600
    for epoch in range(epochs):
        for step in range(every, steps + 1, every):
            seconds = total * (epoch + step / steps) / epochs
            step_record = {"event": "step", "epoch": epoch, "step": step, "steps": steps, "loss": 1.0}
            made.append((seconds, {**step_record, "seconds": seconds, "eta_s": total - seconds}))
        seconds = total * (epoch + 1) / epochs
        accuracy = {"val_top1": 90.0 + epoch / 10} if epoch % 6 == 5 else {}
        epoch_record = {"event": "epoch", "epoch": epoch + 1, "epochs": epochs, "loss": 1.0, "seconds": seconds}
        made.append((seconds, {**epoch_record, **accuracy}))
    return made


def lines_of(hours: float, capsys: pytest.CaptureFixture[str]) -> list[str]:
    clock = Clock()
    with Progress(_Lines(clock)) as show:
        show({"event": "phase", "phase": "train"})
        for now, record in records(hours):
            clock.now = now
            show(record)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("hours", [0.01, 0.3, 1, 24])
def test_a_log_never_gets_long(hours: float, capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(hours, capsys)
    assert 2 <= len(lines) <= MOST_LINES + 10
    assert lines[0] == "train"
    assert "0 s left" in lines[-1]


def test_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(0.05, capsys)  # 180 s
    assert 16 <= len(lines) - 1 <= 19


def test_a_line_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    middle = lines_of(1, capsys)[60]
    for part in ("train: epoch ", "step ", " of 390", "loss 1.000", "accuracy ", " min left"):
        assert part in middle


def test_accuracy_is_remembered_between_evaluations() -> None:
    text = training_text({"event": "step", "epoch": 2, "step": 20, "steps": 390, "loss": 0.5}, 91.234, 30)
    assert text == "epoch 3, step 20 of 390, loss 0.500, accuracy 91.23 %, 30 s left"


def test_bits_that_change_are_shown():
    record = {"event": "step", "epoch": 2, "step": 20, "steps": 390, "loss": 0.5, "mean_bits": 3.456}
    assert training_text(record, None, 30) == "epoch 3, step 20 of 390, loss 0.500, 3.46 bits per weight, 30 s left"


def test_position() -> None:
    assert position({"event": "step", "seconds": 30.0, "eta_s": 90.0}) == (0.25, 90.0)
    assert position({"event": "epoch", "seconds": 30.0, "epoch": 1, "epochs": 4}) == (0.25, 90.0)
    assert position({"event": "epoch", "seconds": 30.0, "epoch": 4, "epochs": 4}) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (9000, "2 h 30 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    from kompakt.cli.progress import progress

    with progress(quiet=True) as show:
        show({"event": "phase", "phase": "train"})
        show({"event": "epoch", "epoch": 1, "epochs": 1, "seconds": 1.0, "loss": None})
        show({"event": "done", "folder": "runs/x"})
    assert capsys.readouterr() == ("", "")
