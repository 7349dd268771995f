"""LiteRT (XNNPACK): weights of 8, 4 and 2 bits, inputs quantized at run time.

Its converter from PyTorch brings jax and transformers with it; files of fully connected layers are written here
instead, from the schema that the package holds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from .._clock import Runner
from .._network import Network

FILE_ID = b"TFL3"


def _run_bits(bits: int, network: Network, threads: int, batch: int) -> Runner:
    from ai_edge_litert.interpreter import Interpreter

    with _quiet_stderr():
        interpreter = Interpreter(model_content=_file(network, bits, batch), num_threads=threads)
        interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def run(x: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source, x)
        interpreter.invoke()
        output: np.ndarray = interpreter.get_tensor(result)
        return output

    return run


int8, int4, int2 = (partial(_run_bits, bits) for bits in (8, 4, 2))


def _file(network: Network, bits: int, batch: int) -> bytes:
    """A model of the network's linear layers, with ReLU between them."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 12
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.operatorCodes, model.buffers, model.subgraphs = 3, [code], [schema.BufferT()], [graph]
    layers = network.linear_layers
    graph.tensors, graph.operators = [_tensor(schema, "input", (batch, layers[0][0].shape[1]))], []
    for i, (weight, bias) in enumerate(layers):
        _append_layer(schema, model, weight, bias, bits, is_last=i == len(layers) - 1)
    graph.inputs, graph.outputs = [0], [len(graph.tensors) - 1]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), FILE_ID)
    return bytes(builder.Output())


def _append_layer(schema: Any, model: Any, weight: np.ndarray, bias: np.ndarray, bits: int, is_last: bool) -> None:
    graph, types = model.subgraphs[0], schema.TensorType
    codes, scale = _quantized(weight, bits)
    source, first = len(graph.tensors) - 1, len(graph.tensors)
    batch = graph.tensors[0].shape[0]
    stored = _tensor(schema, f"weight{first}", weight.shape, {8: types.INT8, 4: types.INT4, 2: types.INT2}[bits])
    stored.quantization = schema.QuantizationParametersT()
    stored.quantization.scale, stored.quantization.zeroPoint = scale, np.zeros(len(scale), np.int64)
    stored.buffer = _add_buffer(schema, model, codes)
    offset = _tensor(schema, f"bias{first}", bias.shape)
    offset.buffer = _add_buffer(schema, model, bias.astype(np.float32).tobytes())
    graph.tensors += [stored, offset, _tensor(schema, f"output{first}", (batch, len(weight)))]
    operator, options = schema.OperatorT(), schema.FullyConnectedOptionsT()
    options.asymmetricQuantizeInputs = True
    activations = schema.ActivationFunctionType
    options.fusedActivationFunction = activations.NONE if is_last else activations.RELU
    operator.inputs, operator.outputs = [source, first, first + 1], [first + 2]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.FullyConnectedOptions, options
    graph.operators.append(operator)


def _tensor(schema: Any, name: str, shape: tuple[int, ...], kind: int = 0) -> Any:
    """A tensor of float32 (0 in the schema) or of `kind`, without content."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, list(shape), kind, True
    return tensor


def _add_buffer(schema: Any, model: Any, content: bytes) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _quantized(weight: np.ndarray, bits: int) -> tuple[bytes, np.ndarray]:
    """Signed codes per output channel, packed from the lowest bits on, and their scales (outputs,)."""
    largest = 2 ** (bits - 1) - 1
    # With three levels two thirds of the largest weight are a better start than all of it.
    scale = np.abs(weight).max(1) / (largest if bits > 2 else 1.5)
    levels = np.clip(np.round(weight / scale[:, None]), -largest, largest)
    scale = np.sum(weight * levels, 1) / np.sum(levels**2, 1)  # least squared error for these levels
    codes = levels.astype(np.int64) & (2**bits - 1)
    fields = codes.astype(np.uint8).reshape(-1, 8 // bits) << np.arange(0, 8, bits, dtype=np.uint8)
    return np.bitwise_or.reduce(fields, axis=1).tobytes(), scale.astype(np.float32)


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """The library announces its delegate on the file descriptor itself."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
