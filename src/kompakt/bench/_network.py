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
WEIGHT_BLOCK = 128  # inputs that share a scale where peers store weights of few bits
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
        self._references: dict[int, np.ndarray] = {}

    def inputs(self, count: int) -> np.ndarray:
        """`count` inputs; calibration data repeats where there is too little."""
        images: np.ndarray = self.calibration[np.arange(count) % len(self.calibration)]
        return images

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Output of the float module in torch."""
        import torch

        with torch.inference_mode():
            output: np.ndarray = self.module(torch.from_numpy(x)).numpy()
        return output

    def reference_of_inputs(self, count: int) -> np.ndarray:
        """Output of the float module for `inputs(count)`, computed once."""
        if count not in self._references:
            self._references[count] = self.reference(self.inputs(count))
        return self._references[count]

    @cached_property
    def is_linear(self) -> bool:
        """Whether all weights belong to fully connected layers in a row."""
        from torch import nn

        kinds = (nn.Linear, nn.ReLU, nn.Flatten, nn.Sequential)
        return all(isinstance(part, kinds) or any(part.children()) for part in self.module.modules())

    @cached_property
    def linear_layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weight (outputs, inputs) and bias (outputs,) of every layer of a network of fully connected layers."""
        from torch import nn

        layers = [part for part in self.module.modules() if isinstance(part, nn.Linear)]
        return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers]

    @cached_property
    def onnx(self) -> Path:
        """The float network as ONNX, batch size left open."""
        return self._export(self.module, "float.onnx")

    def nbits_onnx(self, bits: int) -> Path:
        """Weights of fully connected layers in `bits` bits, symmetric in blocks of 128, for MatMulNBits."""
        import onnx
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        path = self._folder / f"nbits{bits}.onnx"
        with _quiet("onnxruntime.quantization.matmul_nbits_quantizer"):
            model = onnx.load(self._matmul_onnx)
            # Accuracy level 4: inputs are quantized to int8 at run time, the fastest of its ways.
            quantizer = MatMulNBitsQuantizer(
                model, bits=bits, block_size=WEIGHT_BLOCK, is_symmetric=True, accuracy_level=4
            )
            quantizer.process()
        onnx.save(quantizer.model.model, path)
        return path

    @cached_property
    def _matmul_onnx(self) -> Path:
        """The float network with a plain matrix product in every fully connected layer."""
        return self._export(_with_products(copy.deepcopy(self.module)), "matmul.onnx")

    def _export(self, module: torch.nn.Module, name: str) -> Path:
        import torch

        with _quiet("torch.onnx", "onnxscript", "onnx_ir"):
            program = torch.onnx.export(
                module, (torch.from_numpy(self.inputs(2)),), dynamo=True, verbose=False, opset_version=OPSET,
                input_names=[INPUT], output_names=[OUTPUT], dynamic_shapes=({0: torch.export.Dim(BATCH)},),
            )  # fmt: skip
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program")
        program.save(self._folder / name)
        return self._folder / name

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

    def nncf_weights(self, bits: int) -> Any:
        """An OpenVINO model whose weights alone have 8 or 4 bits, 4 in groups of 128 where that is possible."""
        os.environ.setdefault("NNCF_CI", "1")
        with _quiet("nncf"):
            import nncf
            import openvino

            mode = {8: nncf.CompressWeightsMode.INT8_SYM, 4: nncf.CompressWeightsMode.INT4_SYM}[bits]
            are_blocks = all(weight.shape[1] % WEIGHT_BLOCK == 0 for weight, _ in self.linear_layers)
            group = WEIGHT_BLOCK if are_blocks else -1  # -1: one scale per output
            groups = {} if bits == 8 else {"group_size": group, "all_layers": True}
            return nncf.compress_weights(openvino.Core().read_model(self.onnx), mode=mode, **groups)

    def pt2e(self, batch: int) -> Any:
        """A torch graph with static int8 quantization, for torch.compile to lower."""
        with _quiet("torchao", "torch"):
            import torch
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
            from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

            example = torch.from_numpy(self.inputs(batch))
            quantizer = x86.X86InductorQuantizer()
            quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
            prepared = prepare_pt2e(torch.export.export(self.module, (example,)).module(), quantizer)
            with torch.no_grad():
                for start in range(0, len(self.calibration) - batch + 1, batch):
                    prepared(torch.from_numpy(self.calibration[start : start + batch]))
                prepared(example)
            return convert_pt2e(prepared)


def _with_products(module: torch.nn.Module) -> torch.nn.Module:
    """Every linear layer as MatMul and Add instead of Gemm, which the quantizer of weights leaves alone."""
    import torch

    class Product(torch.nn.Module):
        def __init__(self, layer: torch.nn.Linear) -> None:
            super().__init__()
            self.weight, self.bias = torch.nn.Parameter(layer.weight.detach().T.contiguous()), layer.bias

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.matmul(x, self.weight) + self.bias

    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, torch.nn.Linear):
                setattr(parent, name, Product(child))
    return module


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
