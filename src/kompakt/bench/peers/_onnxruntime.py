"""ONNX Runtime: float32, int8, and weights of few bits."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .._clock import Runner
from .._network import BATCH, INPUT, Network


def fp32(network: Network, threads: int, batch: int) -> Runner:
    return _runner(network.onnx, threads, batch)


def int8(network: Network, threads: int, batch: int) -> Runner:
    return _runner(network.quantized_onnx, threads, batch)


def _nbits(bits: int, network: Network, threads: int, batch: int) -> Runner:
    return _runner(network.nbits_onnx(bits), threads, batch)


nbits2, nbits4, nbits8 = (partial(_nbits, bits) for bits in (2, 4, 8))


def _runner(path: Path, threads: int, batch: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle workers would disturb the others
    options.log_severity_level = 3
    options.add_free_dimension_override_by_name(BATCH, batch)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(x: np.ndarray) -> np.ndarray:
        output: np.ndarray = session.run(None, {INPUT: x})[0]
        return output

    return run
