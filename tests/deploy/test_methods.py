"""Every method of the table, lowered: the NumPy reference is the network, the engine is the reference bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.engine.reference import run
from support.quantized import method_cases, quantized_by


@pytest.mark.parametrize(("name", "bits", "role"), method_cases())
def test_a_lowered_network_computes_what_the_quantized_one_does(name, bits, role):
    graph, x = quantized_by(name, bits, role)
    with torch.no_grad():
        expected = graph.module(x).numpy()
    program = lower(graph)
    found = run(program, x.numpy())
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.array_equal(load(to_bytes(program, {}))(x.numpy()), found)
