"""OpenVINO: float32, bfloat16, int8, and weights of few bits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import _hide
from .._clock import Runner
from .._network import Network

FLOAT32, BFLOAT16 = {"INFERENCE_PRECISION_HINT": "f32"}, {"INFERENCE_PRECISION_HINT": "bf16"}


def fp32(network: Network, threads: int, batch: int) -> Runner:
    # The default precision is bfloat16 where the processor has it; this row is about float32.
    return _runner(_core().read_model(network.onnx), threads, batch, FLOAT32)


def bf16(network: Network, threads: int, batch: int) -> Runner:
    return _runner(_core().read_model(network.onnx), threads, batch, BFLOAT16)


def int8(network: Network, threads: int, batch: int) -> Runner:
    return _runner(_core().read_model(network.quantized_onnx), threads, batch, {})


def nncf(network: Network, threads: int, batch: int) -> Runner:
    return _runner(network.nncf.clone(), threads, batch, {})


def _weights(bits: int, network: Network, threads: int, batch: int) -> Runner:
    return _runner(network.nncf_weights(bits), threads, batch, {})


weights4, weights8 = (partial(_weights, bits) for bits in (4, 8))


def _core() -> Any:
    import openvino

    return openvino.Core()


def _runner(model: Any, threads: int, batch: int, properties: dict[str, str]) -> Runner:
    model.reshape([batch, *list(model.input().partial_shape)[1:]])
    settings = {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    compiled = _core().compile_model(model, "CPU", {**settings, **properties})
    granted = compiled.get_property("INFERENCE_NUM_THREADS")
    if granted != threads:
        raise RuntimeError(f"asked for {threads} threads, OpenVINO takes {granted}, as when it was first used; restart")
    betrayal = _hide.betrayal(_primitives(compiled))
    if betrayal is not None:
        raise RuntimeError(f"{_hide.hidden()} is not hidden from it: the model runs {betrayal}")
    request = compiled.create_infer_request()

    def run(x: np.ndarray) -> np.ndarray:
        output: np.ndarray = request.infer([x], share_inputs=True, share_outputs=True)[0]
        return output

    return run


def _primitives(compiled: Any) -> list[str]:
    """Names of the kernels that the plugin chose, such as brgconv_avx512_u8."""
    infos = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    return [str(info["primitiveType"].astype(str)) for info in infos if "primitiveType" in info]
