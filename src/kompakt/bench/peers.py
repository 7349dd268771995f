"""The engines Kompakt is compared with: one line each in `PEERS`.

A builder takes the network, a number of threads and a batch size, and gives a function from a float32 array
(batch, *shape) to the output array. All peers run the same float network, or int8 made from it on the same data.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._clock import Runner
from ._network import BATCH, INPUT, Network

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Peer:
    """An engine to compare with.

    Attributes:
        packages: distributions it needs; the import name of each is the same.
        build: (network, threads, batch) -> runner.
        how: what exactly runs, in a few words; printed with the results.
    """

    packages: tuple[str, ...]
    build: Callable[[Network, int, int], Runner]
    how: str

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if importlib.util.find_spec(package) is None]


def _torch_eager(network: Network, threads: int, batch: int) -> Runner:
    return _torch_runner(network.module, threads)


def _torch_compiled(network: Network, threads: int, batch: int) -> Runner:
    import torch

    return _torch_runner(torch.compile(network.module, dynamic=False), threads)


def _torch_runner(module: Callable[[torch.Tensor], torch.Tensor], threads: int) -> Runner:
    import torch

    torch.set_num_threads(threads)

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            output: np.ndarray = module(torch.from_numpy(x)).numpy()
        return output

    return run


def _onnxruntime_fp32(network: Network, threads: int, batch: int) -> Runner:
    return _onnxruntime_runner(str(network.onnx), threads, batch)


def _onnxruntime_int8(network: Network, threads: int, batch: int) -> Runner:
    return _onnxruntime_runner(str(network.quantized_onnx), threads, batch)


def _onnxruntime_runner(path: str, threads: int, batch: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle workers would disturb the others
    options.log_severity_level = 3
    options.add_free_dimension_override_by_name(BATCH, batch)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(x: np.ndarray) -> np.ndarray:
        output: np.ndarray = session.run(None, {INPUT: x})[0]
        return output

    return run


def _openvino_fp32(network: Network, threads: int, batch: int) -> Runner:
    # The default precision is bfloat16 where the processor has it; this row is about float32.
    model = _openvino_core().read_model(network.onnx)
    return _openvino_runner(model, threads, batch, {"INFERENCE_PRECISION_HINT": "f32"})


def _openvino_int8(network: Network, threads: int, batch: int) -> Runner:
    return _openvino_runner(_openvino_core().read_model(network.quantized_onnx), threads, batch, {})


def _openvino_nncf(network: Network, threads: int, batch: int) -> Runner:
    return _openvino_runner(network.nncf.clone(), threads, batch, {})


def _openvino_core() -> Any:
    import openvino

    return openvino.Core()


def _openvino_runner(model: Any, threads: int, batch: int, properties: dict[str, str]) -> Runner:
    model.reshape([batch, *list(model.input().partial_shape)[1:]])
    settings = {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    compiled = _openvino_core().compile_model(model, "CPU", {**settings, **properties})
    granted = compiled.get_property("INFERENCE_NUM_THREADS")
    if granted != threads:
        raise RuntimeError(f"asked for {threads} threads, OpenVINO takes {granted}, as when it was first used; restart")
    request = compiled.create_infer_request()

    def run(x: np.ndarray) -> np.ndarray:
        output: np.ndarray = request.infer([x], share_inputs=True, share_outputs=True)[0]
        return output

    return run


_EXPORT = ("onnx", "onnxscript")
_QUANTIZE = (*_EXPORT, "onnxruntime")

PEERS: dict[str, Peer] = {
    "onnxruntime:fp32": Peer(_QUANTIZE, _onnxruntime_fp32, "float32 from torch.onnx.export"),
    "onnxruntime:int8": Peer(_QUANTIZE, _onnxruntime_int8, "quantize_static: u8 activations, s8 weights per channel"),
    "openvino:fp32": Peer((*_EXPORT, "openvino"), _openvino_fp32, "float32, not its bfloat16 default"),
    "openvino:int8": Peer((*_QUANTIZE, "openvino"), _openvino_int8, "the model of onnxruntime:int8"),
    "openvino:nncf": Peer((*_EXPORT, "openvino", "nncf"), _openvino_nncf, "nncf.quantize with its defaults"),
    "torch:eager": Peer((), _torch_eager, "float32, eager, inference mode"),
    "torch:compiled": Peer((), _torch_compiled, "float32, torch.compile"),
}
DEFAULT = ("onnxruntime:fp32", "onnxruntime:int8", "openvino:fp32", "openvino:int8", "torch:eager")
