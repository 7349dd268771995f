"""What is measured about a packed network: labels of images and of steps."""

from __future__ import annotations

import numpy as np

from kompakt.data import NO_LABEL, Split, judged, quality
from kompakt.strategy.evaluation import reference_images


def steps() -> Split:
    labels = np.array([[NO_LABEL, 1, 0], [NO_LABEL, 0, 1]], np.int64)
    return Split(np.zeros((2, 2, 3, 1), np.uint8), labels)


def test_outputs_of_sequences_are_one_row_a_step_in_both_layouts() -> None:
    engine = np.random.default_rng(0).standard_normal((2, 2, 3, 1)).astype(np.float32)
    torch_outputs = engine[..., 0].transpose(0, 2, 1)
    found = judged(torch_outputs, steps())
    assert np.array_equal(found, [torch_outputs[0, 1], torch_outputs[0, 2], torch_outputs[1, 1], torch_outputs[1, 2]])
    assert np.array_equal(judged(engine, steps()), found)
    assert np.array_equal(judged(engine[:1], steps()), found[:2])


def test_bits_are_the_mean_code_length_of_the_labels() -> None:
    labels = steps().labels[steps().labels != NO_LABEL]
    logits = np.log(np.array([[0.25, 0.75], [0.5, 0.5], [0.125, 0.875], [0.5, 0.5]], np.float32)) + 7
    found = quality(logits, labels, steps())
    assert np.isclose(found["bits"], (-np.log2(0.75) + 1 + 3 + 1) / 4)
    assert "bits" not in quality(logits, labels, Split(np.zeros((4, 2), np.uint8), labels))


def test_the_reference_takes_fewer_images_of_large_networks() -> None:
    assert [reference_images(macs) for macs in (0, 10**8, 10**9, 10**12)] == [256, 250, 25, 1]
