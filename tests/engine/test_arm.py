"""The levels of 64-bit Arm under user-mode emulation: the engine cross-compiled, next to the NumPy reference."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kompakt import _native
from kompakt.artifact import Program, Weight
from kompakt.artifact.write import save
from kompakt.encoding import Affine
from kompakt.engine import run_reference
from support import parts
from support.builds import build, run
from support.layers import layer_program
from support.programs import random_input, random_program, resnet_like_program

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
PACKAGES = "on Debian: apt-get install g++-aarch64-linux-gnu qemu-user"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}; {PACKAGES}"),
    pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"needs {EMULATOR}; {PACKAGES}"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tool `kpt_levels` for Arm, and what it runs: STEM.kpt, inputs STEM.x, outputs STEM.y."""
    folder = tmp_path_factory.mktemp("arm")
    system = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={COMPILER}"]
    options = ["-DKOMPAKT_TOOLS=ON", "-DKOMPAKT_MODULE=OFF", "-DCMAKE_EXE_LINKER_FLAGS=-static"]
    build(folder / "build", "kpt_levels", *system, *options)
    for index, (program, x) in enumerate(_programs()):
        save(folder / f"{index}.kpt", program)
        x.tofile(folder / f"{index}.x")
        run_reference(program, x).tofile(folder / f"{index}.y")
    return folder


def _programs() -> Iterator[tuple[Program, np.ndarray]]:
    """Every operator and encoding at random; the largest products; many words and taps."""
    for seed in range(150):
        program = random_program(seed)
        yield program, random_input(program, seed)
    for encoding in (Affine(8), Affine(8, signed=True), Affine(2)):
        codes = np.random.default_rng(1).integers(1, 128, (35, 260, 3, 3)).astype(np.uint8)
        codes[0], codes[1] = 127, 129  # levels 127 and -127
        program = layer_program(Weight(codes, Affine(8, signed=True)), (260, 4, 5), encoding, padding=(1, 1))
        yield program, np.stack([np.full((260, 4, 5), v, np.float32) for v in (1e9, -1e9, 1.0)])
    weight = parts.weight(np.random.default_rng(2), (19, 17, 3, 3), Affine(2, signed=True))
    program = layer_program(weight, (17, 7, 9), Affine(2), padding=(1, 1))  # small levels: by Winograd, too
    yield program, random_input(program, 2)
    program = resnet_like_program(3)
    yield program, random_input(program, 3, batch=5)


def _levels(folder: Path, cpu: str) -> dict[str, list[str]]:
    stems = [str(path.with_suffix("")) for path in sorted(folder.glob("*.kpt"))]
    output = run([EMULATOR, "-cpu", cpu, str(folder / "build" / "kpt_levels"), *stems])
    return {title: words.split() for title, words in (line.split(":") for line in output.splitlines())}


def test_every_arm_kernel_is_equal_to_the_reference(folder: Path) -> None:
    found = _levels(folder, "max")
    assert found["levels"] == ["portable", "neon", "dotprod"]
    rows = _native.kernel_table()
    assert set(found["kernels"]) == {row["kernel"] for row in rows if row["isa"] in found["levels"]}


def test_a_cpu_without_dot_products_has_no_such_level(folder: Path) -> None:
    assert _levels(folder, "cortex-a53")["levels"] == ["portable", "neon"]
