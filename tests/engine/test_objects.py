"""No code is shared between instruction set levels: the linker could keep a copy that another CPU cannot run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.builds import build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("cmake") or not shutil.which("nm"), reason="needs cmake, a compiler and nm"),
]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("objects")
    build(folder, "kompakt_core", "-DKOMPAKT_MODULE=OFF")
    return {path.name.split(".")[0]: path for path in folder.rglob("*.o") if path.parent.name == "kernels"}


def _disassembled(path: Path) -> str:
    return subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(path)], capture_output=True, text=True).stdout


@pytest.mark.parametrize("level", ["portable", "avx2", "avx512", "amx", "neon", "dotprod"])
def test_a_level_exports_one_symbol(objects: dict[str, Path], level: str) -> None:
    if level not in objects:
        pytest.skip("not built for this architecture")
    names = subprocess.run(["nm", "-C", "--defined-only", str(objects[level])], capture_output=True, text=True).stdout
    shared = [line.split(maxsplit=2)[2] for line in names.splitlines() if line.split()[1] in "TWVu"]
    assert shared == [f"kompakt::{level}_kernels()"]


def test_lower_levels_use_no_higher_registers(objects: dict[str, Path]) -> None:
    if "avx2" not in objects:
        pytest.skip("not an x86-64 build")
    assert "%ymm" not in _disassembled(objects["portable"])
    assert "%zmm" not in _disassembled(objects["avx2"])
    assert "%ymm" in _disassembled(objects["avx2"])
    assert "%zmm" in _disassembled(objects["avx512"])


def test_a_step_of_tiles_is_four_loads_and_four_products(objects: dict[str, Path]) -> None:
    if "amx" not in objects:
        pytest.skip("not an x86-64 build")
    assert "tdpbusd" not in _disassembled(objects["avx512"])
    lines = [line.split("\t", 1)[-1] for line in _disassembled(objects["amx"]).splitlines()]
    # The four products of a step: as many loads, and no sums stored before the last.
    at = next(i for i, line in enumerate(lines) if line.startswith("tdpbusd %tmm7,%tmm5,%tmm3"))
    step = lines[max(i for i in range(at) if lines[i].endswith(",%tmm6")) : at + 1]
    names = [line.split()[0] for line in step]
    assert names.count("tdpbusd") == names.count("tileloadd") == 4
    assert "tilestored" not in names


def test_no_level_fuses_multiply_and_add(objects: dict[str, Path]) -> None:
    assert not any("vfmadd" in _disassembled(path) for path in objects.values())
