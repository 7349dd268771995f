"""The engines Kompakt is compared with: one line each in `PEERS`.

All peers run the same float network, or what their own tools make of it on the same data.
"""

from __future__ import annotations

from ..._core.errors import InputError, nearest
from . import _litert, _onnxruntime, _openvino, _torch
from ._peer import Peer as Peer

_EXPORT = ("onnx", "onnxscript")
_QUANTIZE = (*_EXPORT, "onnxruntime")
_OPENVINO = (*_EXPORT, "openvino")
_NNCF = (*_OPENVINO, "nncf")
_LITERT = ("ai_edge_litert", "flatbuffers")

PEERS: dict[str, Peer] = {
    "onnxruntime:fp32": Peer(_QUANTIZE, _onnxruntime.fp32, "float32 from torch.onnx.export"),
    "onnxruntime:int8": Peer(_QUANTIZE, _onnxruntime.int8, "quantize_static: u8 activations, s8 weights per channel"),
    "onnxruntime:nbits8": Peer(_QUANTIZE, _onnxruntime.nbits8, "MatMulNBits, 8 bits, blocks of 128", True),
    "onnxruntime:nbits4": Peer(_QUANTIZE, _onnxruntime.nbits4, "MatMulNBits, 4 bits, blocks of 128", True),
    "onnxruntime:nbits2": Peer(_QUANTIZE, _onnxruntime.nbits2, "MatMulNBits, 2 bits, blocks of 128", True),
    "openvino:fp32": Peer(_OPENVINO, _openvino.fp32, "float32, not its bfloat16 default"),
    "openvino:bf16": Peer(_OPENVINO, _openvino.bf16, "bfloat16, its default where the processor has it"),
    "openvino:int8": Peer((*_QUANTIZE, "openvino"), _openvino.int8, "the model of onnxruntime:int8"),
    "openvino:nncf": Peer(_NNCF, _openvino.nncf, "int8 by nncf.quantize with its defaults"),
    "openvino:weights8": Peer(_NNCF, _openvino.weights8, "nncf.compress_weights, 8 bits", True),
    "openvino:weights4": Peer(_NNCF, _openvino.weights4, "nncf.compress_weights, 4 bits, groups of 128", True),
    "torch:eager": Peer((), _torch.eager, "float32, eager, inference mode"),
    "torch:compiled": Peer((), _torch.compiled, "float32, torch.compile"),
    "torch:int8": Peer(("torchao",), _torch.int8, "PT2E static int8, X86InductorQuantizer, torch.compile"),
    "litert:int8": Peer(_LITERT, _litert.int8, "weights of 8 bits, inputs quantized at run time, XNNPACK", True),
    "litert:int4": Peer(_LITERT, _litert.int4, "weights of 4 bits, inputs quantized at run time, XNNPACK", True),
    "litert:int2": Peer(_LITERT, _litert.int2, "weights of 2 bits, inputs quantized at run time, XNNPACK", True),
}
DEFAULT = ("onnxruntime:fp32", "onnxruntime:int8", "openvino:fp32", "openvino:int8", "torch:eager")
"""Without compilers that take minutes."""
ALL = "all"


def expand(words: tuple[str, ...]) -> tuple[str, ...]:
    """Names of peers: `torch` stands for all of its modes, `all` for everything.

    Raises: InputError for a word that is neither a peer nor a family.
    """
    names: dict[str, None] = {}
    for word in words:
        found = [name for name in PEERS if word in (name, name.split(":")[0], ALL)]
        if not found:
            raise InputError(f"against: no engine {word!r}; {nearest(word, [*families(), ALL, *PEERS])}")
        names |= dict.fromkeys(found)
    return tuple(names)


def families() -> tuple[str, ...]:
    """Names of the engines, each in several modes."""
    return tuple(dict.fromkeys(name.split(":")[0] for name in PEERS))
