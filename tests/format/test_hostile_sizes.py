"""What a file may cost before it is refused: memory bounded by the file's size, processor time far below a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.boundaries import signed_file
from support.drafts import Draft, dump, padded
from support.twin import twin_bytes

pytestmark = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the address sanitizer needs an unlimited address space"
)

# Runs in a fresh process: address space limited to what the process has, plus the allowance; prints what happened.
VERIFY = """
import json, resource, sys, time
from kompakt import _native
from kompakt._core.errors import ArtifactError
data = open(sys.argv[1], "rb").read()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
begin = time.process_time()
try:
    _native.verify(data)
    kind = "OK"
except ArtifactError as error:
    kind = error.kind
except MemoryError:
    kind = "no memory"
print(json.dumps({"kind": kind, "seconds": time.process_time() - begin}))
"""
MEBI = 1 << 20


def verify(file: bytes, allowance: int, folder: Path) -> dict[str, Any]:
    path = folder / "file.kpt"
    path.write_bytes(file)
    command = [sys.executable, "-c", VERIFY, str(path), str(allowance)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def small_bombs() -> dict[str, bytes]:
    """Files of a few kilobytes that declare very much."""
    edge = 1 << 24
    weights = {
        kind: {"bits": 8, "kind": kind, "shape": [edge, 127, 1, 1]} for kind in ("affine", "planes", "table")
    } | {"float": {"kind": "float", "shape": [edge, 127, 1, 1]}}
    bombs = {
        f"{kind} weight": signed_file([{"in": ["input"], "name": "out", "op": "conv2d", "weight": weight}], [127, 1, 1])
        for kind, weight in weights.items()
    }
    wide = {"bits": 8, "kind": "affine"}
    quantize = {"encoding": wide, "in": ["input"], "inv_step": 1.0, "name": "q", "op": "quantize"}
    pool = {"in": ["q"], "name": "p", "op": "sum_pool"}
    threshold = {"encoding": wide, "in": ["p"], "name": "t", "op": "threshold"}
    floats = {"in": ["t"], "name": "out", "op": "dequantize", "scale": 1.0}
    bombs["thresholds"] = signed_file([quantize, pool, threshold, floats], [edge, 1, 1])
    bombs["affine rows"] = signed_file([{"in": ["input"], "name": "out", "op": "affine"}], [edge])
    for length in (4096, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        bombs[f"header length {length}"] = length.to_bytes(8, "little") + twin_bytes()[8:]
    return bombs


def large_bombs() -> dict[str, bytes]:
    """Manifests of 16 MiB that are all structure."""
    draft = Draft(twin_bytes())
    room = 16 * MEBI - 1024
    nodes = dump(draft.manifest).replace(dump(draft.manifest["nodes"]), b"[" + b"{}," * ((room - 8192) // 3) + b"{}]")
    texts = {
        "numbers": b"[" + b"0," * (room // 2) + b"0]",
        "arrays": b"[" * (room // 2) + b"]" * (room // 2),
        "nodes": nodes,
        "one text": b'{"a":"' + b"x" * room + b'"}',
        "one number": b"9" * room,
        "one float": b"0." + b"3" * room,
        "objects": b'{"a":' * (room // 6) + b"1" + b"}" * (room // 6),
    }
    return {name: draft.with_manifest(padded(text)) for name, text in texts.items()}


@pytest.mark.parametrize("name", small_bombs())
def test_small_file_costs_nothing(name: str, tmp_path: Path) -> None:
    file = small_bombs()[name]
    assert len(file) < 8192
    result = verify(file, 8 * MEBI, tmp_path)
    assert result["kind"] in ("section", "size", "truncated", "header")
    assert result["seconds"] < 0.05


@pytest.mark.parametrize("name", large_bombs())
def test_large_manifest_costs_a_multiple_of_its_size(name: str, tmp_path: Path) -> None:
    file = large_bombs()[name]
    result = verify(file, 16 * MEBI + 24 * len(file), tmp_path)
    assert result["kind"] in ("manifest", "size")
    assert result["seconds"] < 2


@pytest.mark.parametrize("allowance", [0, 1, 4, 8, 12, 64])
def test_too_little_memory_is_an_error_of_its_own(allowance: int, tmp_path: Path) -> None:
    """A legal file whose table of 16 million 1-bit codes takes 16 MiB when it is unpacked."""
    count = 1 << 24
    weight = {"bits": 1, "grain": "tensor", "kind": "planes", "shape": [2, count // 2]}
    table = {"in": ["input"], "name": "table", "op": "embedding", "weight": weight}
    floats = {"in": ["table"], "name": "out", "op": "dequantize", "scale": 1.0}
    file = signed_file([table, floats], [1], codes=bytes(count // 8), bases=b"\1")
    assert verify(file, allowance * MEBI, tmp_path)["kind"] == ("OK" if allowance == 64 else "no memory")
