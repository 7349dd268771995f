"""Hiding CPU features from every engine of a benchmark, to measure as on a lesser processor.

CPUID is made to fault and answered with features cleared (csrc/tools/hide_cpu.cc), which no engine can look behind.
Where the processor, the kernel or the host of a virtual machine cannot let it fault, engines are loaded from copies in
which it traps (`_trap`), or, as torch, told by their own switches, which are always set. Who can still see what is
hidden is not measured: kernels are asked for their names where an engine tells them.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import _native
from . import _trap

VARIABLE = "KOMPAKT_HIDE"
_PROBE = """
import torch
print("capability", torch.backends.cpu.get_cpu_capability())
torch.nn.functional.conv2d(torch.ones(1, 64, 32, 32), torch.ones(64, 64, 3, 3))
"""


@dataclass(frozen=True)
class Lesser:
    """A processor with features hidden.

    Attributes:
        isa: level of our engine on it.
        switches: environment of the other engines.
        betrayals: words in the names of primitives that such a processor could not run.
        capability: what torch calls it.
    """

    isa: str
    switches: dict[str, str]
    betrayals: tuple[str, ...]
    capability: str


LESSER: dict[str, Lesser] = {
    "amx": Lesser(
        "avx512", {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_FP16", "ATEN_CPU_CAPABILITY": "avx512"}, ("amx",), "AVX512"
    ),
    "avx512": Lesser(
        "avx2",
        {
            "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2",
        },
        ("amx", "avx512", "avx2_vnni"),
        "AVX2",
    ),
}  # fmt: skip


def hidden() -> str | None:
    """What is hidden from this process."""
    return os.environ.get(VARIABLE)


def shim() -> Path:
    """The library to preload."""
    return Path(_native.__file__).parent / "_hide_cpu.so"


def can_fault() -> bool:
    """Whether CPUID can be made to fault on this processor and kernel."""
    return shim().exists() and bool(ctypes.CDLL(str(shim())).kompakt_can_hide())


def means(family: str) -> str | None:
    """What makes CPUID answer the engines of `family` as the lesser processor would; None where nothing does."""
    if hidden() is None or str(shim()) not in os.environ.get("LD_PRELOAD", ""):
        return None
    if can_fault():
        return "CPUID faults"
    return "a copy of its libraries in which CPUID traps" if _trap.is_copy(family) else None


def environment(word: str) -> dict[str, str]:
    """Environment of a process from which `word` is hidden as well as this machine can."""
    lesser = LESSER[word]
    ours = _slower(lesser.isa, os.environ.get("KOMPAKT_ISA"))
    found = {**os.environ, **lesser.switches, VARIABLE: word, "KOMPAKT_ISA": ours}
    if not shim().exists():
        return found
    found["LD_PRELOAD"] = " ".join(part for part in (str(shim()), os.environ.get("LD_PRELOAD")) if part)
    if not can_fault():
        folders = [*map(str, _trap.copies()), os.environ.get("PYTHONPATH", "")]
        found["PYTHONPATH"] = os.pathsep.join(part for part in folders if part)
    return found


def rerun(arguments: Sequence[str], word: str) -> int:
    """Run `kompakt ARGUMENTS` again with `word` hidden: libraries look at the processor when they are loaded."""
    command = [sys.executable, "-m", "kompakt", *arguments]
    code = subprocess.run(command, env=environment(word), check=False).returncode
    return code if code >= 0 else 128 - code  # as a shell reports the signal that ended a process


def exposed(family: str, isa: str) -> str | None:
    """Why engines of `family` may still use what is hidden from this process; None where they cannot, or nothing is.

    Args:
        isa: level that our engine reports.
    """
    word = hidden()
    if word is None:
        return None
    lesser = LESSER[word]
    if isa not in _levels_up_to(lesser.isa):
        return f"{word} is not hidden: Kompakt itself runs on {isa}"
    if family == "torch":
        return _torch_exposed(word, lesser)
    if means(family) is not None:
        return None
    return f"{word} cannot be hidden from it: this machine cannot let CPUID fault, and objdump is not installed"


def betrayal(primitives: Sequence[str]) -> str | None:
    """The first of the named kernels that a processor without the hidden features could not run."""
    word = hidden()
    if word is None:
        return None
    return next((name for name in primitives if any(part in name for part in LESSER[word].betrayals)), None)


def _torch_exposed(word: str, lesser: Lesser) -> str | None:
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE], env={**os.environ, "ONEDNN_VERBOSE": "1"}, capture_output=True, text=True,
        check=False,
    ).stdout  # fmt: skip
    lines = probe.splitlines()
    capability = next((line.split()[1] for line in lines if line.startswith("capability")), "unknown")
    dnn = next((line.split("isa:")[1] for line in lines if "isa:" in line), "unknown")
    if capability == lesser.capability and "unknown" not in dnn and not _shows(dnn, lesser):
        return None
    return f"{word} is not hidden: torch reports {capability}, its oneDNN {dnn}"


def _shows(text: str, lesser: Lesser) -> bool:
    """`Intel AVX-512 with Intel DL Boost` shows avx512."""
    plain = text.lower().replace("-", "").replace(" ", "")
    return any(part.replace("_", "") in plain for part in lesser.betrayals)


def _levels_up_to(isa: str) -> list[str]:
    levels: list[str] = _native.isa_levels()
    return levels[: levels.index(isa) + 1] if isa in levels else levels


def _slower(isa: str, asked: str | None) -> str:
    """The slower of the level that remains and the one that the user forces."""
    levels = _levels_up_to(isa)
    return asked if asked in levels else isa
