"""The float network in the forms that peers read: torch module, ONNX file, quantized ONNX file. Each is made once."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

INPUT, OUTPUT, BATCH = "input", "output", "batch"  # names in the ONNX files
OPSET = 20  # of both files; all operators of convolutional networks, and QuantizeLinear per channel


class Network:
    """One float network and its calibration data, exported on demand into `folder`.

    Args:
        module: takes one float32 tensor (N, *shape), gives one tensor; it is copied, and run in eval mode.
        calibration: float32 (N, *shape), the data int8 peers are calibrated on.
        folder: where the ONNX files go.
    """

    def __init__(self, module: torch.nn.Module, calibration: np.ndarray, folder: Path) -> None:
        self.module = copy.deepcopy(module).eval()
        self.calibration = np.ascontiguousarray(calibration, np.float32)
        self._folder = folder

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Output of the float module in torch."""
        import torch

        with torch.inference_mode():
            output: np.ndarray = self.module(torch.from_numpy(x)).numpy()
        return output

    @cached_property
    def onnx(self) -> Path:
        """The float network as ONNX, batch size left open."""
        import torch

        example = torch.from_numpy(self.calibration[:2] if len(self.calibration) > 1 else self.calibration[[0, 0]])
        path = self._folder / "float.onnx"
        with _quiet("torch.onnx", "onnxscript", "onnx_ir"):
            program = torch.onnx.export(
                self.module, (example,), dynamo=True, verbose=False, opset_version=OPSET,
                input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes=({0: torch.export.Dim(BATCH)},),
            )  # fmt: skip
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program")
        program.save(path)
        return path

    @cached_property
    def quantized_onnx(self) -> Path:
        """Statically quantized: unsigned activations, signed weights per channel, in quantize-dequantize form."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        prepared, path = self._folder / "prepared.onnx", self._folder / "int8.onnx"
        with _quiet("root"):
            quant_pre_process(self.onnx, prepared)
            quantize_static(
                prepared, path, _Reader(self.calibration), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
        return path

    @cached_property
    def nncf(self) -> Any:
        """An OpenVINO model quantized by NNCF with its defaults."""
        os.environ.setdefault("NNCF_CI", "1")  # NNCF's switch against sending usage data; read when it is imported
        with _quiet("nncf"):
            import nncf
            import openvino

            images = [image[None] for image in self.calibration]
            return nncf.quantize(openvino.Core().read_model(self.onnx), nncf.Dataset(images), subset_size=len(images))


class _Reader:
    """Calibration images one by one, as onnxruntime asks for them."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image[None]}


@contextlib.contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Keep the exporters' warnings and progress lines, which are about themselves, from the user's terminal."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
