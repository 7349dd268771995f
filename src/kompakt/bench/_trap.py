"""Copies of other engines' packages in which CPUID traps, for processors that cannot let CPUID itself fault.

The two bytes of every CPUID instruction, found by disassembling the library, are replaced in the copy by two that no
processor executes; the preloaded library (csrc/tools/hide_cpu.cc) answers the trap. The installed packages stay as
they are.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

CPUID, TRAP = b"\x0f\xa2", b"\x0f\x04"
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}
"""Family of peers -> the package that is copied."""
_LOAD = 1  # PT_LOAD


def folder() -> Path:
    """Where copies are kept between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "kompakt" / "trapped"


def copies() -> list[Path]:
    """Folders for PYTHONPATH, one for each installed package of `PACKAGES`; made where they are missing.

    Empty where `objdump` is not installed.
    """
    if shutil.which("objdump") is None:
        return []
    installed = [package for package in PACKAGES.values() if importlib.util.find_spec(package) is not None]
    return [_copy(package) for package in installed]


def is_copy(family: str) -> bool:
    """Whether this process takes the package of `family` from such a copy."""
    package = PACKAGES.get(family)
    spec = importlib.util.find_spec(package) if package else None
    return spec is not None and spec.origin is not None and folder() in Path(spec.origin).parents


def addresses(library: Path) -> list[int]:
    """Virtual addresses of the CPUID instructions of a shared library, as `objdump` disassembles it."""
    command = ["objdump", "-d", "--no-show-raw-insn", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None, "asked for a pipe"
        return [int(line.split(b":")[0], 16) for line in process.stdout if line.endswith(b"cpuid\n")]


def patched(content: bytes, found: list[int]) -> bytes:
    """An ELF file with the CPUID instructions at the virtual addresses `found` replaced.

    Raises: ValueError where an address holds something else.
    """
    changed = bytearray(content)
    for address in found:
        at = _offset(content, address)
        if content[at : at + 2] != CPUID:
            raise ValueError(f"expected CPUID at {address:#x}, found {content[at : at + 2].hex()}")
        changed[at : at + 2] = TRAP
    return bytes(changed)


def _copy(package: str) -> Path:
    target = folder() / f"{package}-{importlib.metadata.version(package.replace('_', '-'))}"
    if target.is_dir():
        return target
    spec = importlib.util.find_spec(package)
    assert spec is not None, "only called for installed packages"
    assert spec.origin is not None, "these packages have an __init__.py"
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    shutil.copytree(Path(spec.origin).parent, unfinished / package, ignore=shutil.ignore_patterns("__pycache__"))
    for library in _libraries(unfinished / package):
        found = addresses(library)
        if found:
            library.write_bytes(patched(library.read_bytes(), found))
    unfinished.rename(target)
    return target


def _libraries(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*.so*")):
        if path.is_file() and not path.is_symlink() and CPUID in path.read_bytes():
            yield path


def _offset(content: bytes, address: int) -> int:
    """Place in the file of a virtual address (ELF-64, little-endian). Raises: ValueError where no segment holds it."""
    (table,), (size, count) = struct.unpack_from("<Q", content, 0x20), struct.unpack_from("<HH", content, 0x36)
    for i in range(count):
        kind, _, offset, start, _, length = struct.unpack_from("<IIQQQQ", content, table + i * size)
        if kind == _LOAD and start <= address < start + length:
            return int(offset + address - start)
    raise ValueError(f"no segment holds the address {address:#x}")
