"""Hiding CPU features: the answers of CPUID, copies of libraries in which it traps, and what is not measured."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kompakt import _native
from kompakt.bench import _hide, _trap

pytestmark = pytest.mark.skipif(
    not _hide.shim().exists(), reason="the library that hides features is for Linux on x86-64"
)
AVX512F, AVX2, AMX_TILE, AVX_VNNI = 1 << 16, 1 << 5, 1 << 24, 1 << 4
ALL = 0xFFFFFFFF


def masked(is_avx512: bool, leaf: int, subleaf: int = 0, value: int = ALL) -> dict[str, int]:
    registers = (ctypes.c_uint32 * 4)(*[value] * 4)
    ctypes.CDLL(str(_hide.shim())).kompakt_mask(is_avx512, leaf, subleaf, registers)
    return dict(zip(("eax", "ebx", "ecx", "edx"), registers, strict=True))


def test_amx_goes_and_avx512_stays() -> None:
    features = masked(False, 7)
    assert features["ebx"] == features["ecx"] == features["eax"] == ALL
    assert ALL - features["edx"] == AMX_TILE | 1 << 22 | 1 << 25
    assert ALL - masked(False, 0xD)["eax"] == 3 << 17
    assert set(masked(False, 0x1D, 1).values()) == {0}


def test_avx512_goes_with_all_of_its_parts_and_avx2_stays() -> None:
    features = masked(True, 7)
    assert features["ebx"] & AVX2
    assert not features["ebx"] & AVX512F
    assert not features["edx"] & AMX_TILE
    assert not masked(True, 7, 1)["eax"] & AVX_VNNI
    assert ALL - masked(True, 0xD)["eax"] == 0b111 << 5 | 3 << 17


@pytest.mark.parametrize(("leaf", "subleaf"), [(0, 0), (1, 0), (7, 2), (0xD, 1), (0x80000001, 0)])
def test_other_leaves_stay(leaf: int, subleaf: int) -> None:
    assert set(masked(True, leaf, subleaf).values()) == {ALL}


TRAPPED = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.ExtensionFileLoader("kompakt._native", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(module)
print(*module.isa_levels())
"""


@pytest.mark.skipif(shutil.which("objdump") is None, reason="libraries are disassembled with objdump")
@pytest.mark.parametrize("word", ["amx", "avx512"])
def test_a_copy_of_a_library_sees_the_lesser_processor(tmp_path: Path, word: str) -> None:
    copy = tmp_path / "copy.so"
    original = Path(_native.__file__)
    found = _trap.addresses(original)
    copy.write_bytes(_trap.patched(original.read_bytes(), found))
    assert found
    environment = {**os.environ, "LD_PRELOAD": str(_hide.shim()), _hide.VARIABLE: word}
    command = [sys.executable, "-c", TRAPPED, str(copy)]
    levels = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    hidden = {"amx": ("amx",), "avx512": ("amx", "avx512")}[word]
    assert levels == [name for name in _native.isa_levels() if name not in hidden]


def test_bytes_that_are_no_cpuid_are_not_replaced() -> None:
    content = _hide.shim().read_bytes()
    with pytest.raises(ValueError, match="expected CPUID at 0x0, found 7f45"):
        _trap.patched(content, [0])
    with pytest.raises(ValueError, match="no segment holds"):
        _trap.patched(content, [1 << 40])


def test_nothing_is_hidden_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_hide.VARIABLE, raising=False)
    assert _hide.hidden() is None
    assert _hide.exposed("onnxruntime", "avx512") is None
    assert _hide.betrayal(["brgemm_avx512_amx_i8"]) is None
    assert _hide.means("onnxruntime") is None


def test_what_still_sees_the_features_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_hide.VARIABLE, "avx512")
    monkeypatch.setenv("LD_PRELOAD", "")
    assert "avx512 cannot be hidden from it" in (_hide.exposed("onnxruntime", "avx2") or "")
    assert _hide.exposed("onnxruntime", "avx512") == "avx512 is not hidden: Kompakt itself runs on avx512"
    assert _hide.betrayal(["brgconv_avx2_f32", "jit_avx512_I8"]) == "jit_avx512_I8"
    assert _hide.betrayal(["brgconv_avx2_f32", "ref_any"]) is None


def test_a_slower_level_that_the_user_forces_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hide, "can_fault", lambda: True)
    monkeypatch.setenv("KOMPAKT_ISA", "portable")
    assert _hide.environment("avx512")["KOMPAKT_ISA"] == "portable"
    monkeypatch.delenv("KOMPAKT_ISA")
    found = _hide.environment("avx512")
    assert found["KOMPAKT_ISA"] == ("avx2" if "avx2" in _native.isa_levels() else "portable")
    assert found[_hide.VARIABLE] == "avx512"
    assert str(_hide.shim()) in found["LD_PRELOAD"]


INT8 = """
import numpy as np, onnxruntime
from onnx import TensorProto, helper
a = np.full((1, 64), 255, np.uint8)
b = np.full((64, 16), 127, np.int8)
nodes = [helper.make_node("MatMulInteger", ["a", "b"], ["y"])]
values = [helper.make_tensor_value_info("a", TensorProto.UINT8, [1, 64])]
results = [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])]
initial = [helper.make_tensor("b", TensorProto.INT8, b.shape, b.tobytes(), raw=True)]
graph = helper.make_graph(nodes, "g", values, results, initial)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
model.ir_version = 10
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
print(int(session.run(None, {"a": a})[0][0, 0]))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("objdump") is None, reason="libraries are disassembled with objdump")
def test_onnxruntime_uses_the_sums_of_avx2_when_avx512_is_hidden() -> None:
    """Its AVX2 kernel saturates sums of two products at 32,767, with VNNI they are exact: the sum names the kernel."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    run = [sys.executable, "-c", INT8]
    lesser = subprocess.run(run, env=_hide.environment("avx512"), capture_output=True, text=True, check=True).stdout
    assert int(lesser) == 32 * np.iinfo(np.int16).max
    if "avx512" in _native.isa_levels():
        assert int(subprocess.run(run, capture_output=True, text=True, check=True).stdout) == 64 * 255 * 127
