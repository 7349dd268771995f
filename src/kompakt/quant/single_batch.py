"""The rule of fixed-point engines: thresholds from one batch, symmetric codes, no zero point."""

from __future__ import annotations

from ..ops import steps
from .calibrated_step import CalibratedStep
from .grids import Grid


def single_batch_step(grid: Grid, grains: int, sample_axis: bool) -> CalibratedStep:
    """Steps of which 2^(b-1) - 1 reach a threshold: the largest weight of a channel, or of least relative entropy.

    Source: Settle et al., "Quantizing Convolutional Neural Networks for Low-Power High-Throughput Inference Engines",
    arXiv 1805.07941 (2018). How activations get their thresholds there was not at hand: relative entropy is our choice.
    """
    criterion = steps.entropy_step if sample_axis else steps.magnitude_step
    return CalibratedStep(grid, grains, sample_axis, criterion)
