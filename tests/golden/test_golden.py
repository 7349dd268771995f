"""Files of released format versions: read, written again byte for byte, and computed bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from kompakt.artifact import Program, from_bytes, to_bytes
from kompakt.artifact.ops import OPS
from kompakt.engine import load
from kompakt.engine.reference import run_all

FILES = sorted((Path(__file__).parent / "v1").glob("*.kpt"))
DIGESTS = {
    "attention_over_tokens": "15ec3ce76d9c84cc",
    "eight_bit_codebooks": "3b68fdb5d858b744",
    "every_operator": "84c1685c55cacc34",
    "float_layers": "bb96c6d7948849c2",
    "integers_and_shifts": "9a3d9f1c0864bc6c",
    "moved_values": "8df65124159bfccc",
    "one_bit_vectors": "8e29f0d0104a598c",
    "recurrent_layers": "2dcfb8775717f1d1",
    "residual_network": "1d0ed431813c7666",
    "several_widths": "32c09aaf239281b5",
}
"""Changing one of these is a breaking change and needs its entry in the changelog."""


def recorded(path: Path) -> tuple[dict, np.ndarray]:
    """What was recorded, and the recorded input as an array."""
    found = json.loads(path.with_suffix(".json").read_text())
    shape = found["values"]["input"]["shape"]
    return found, np.array(found["input"], np.float32).reshape(shape)


def test_they_are_all_there() -> None:
    assert {path.stem: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in FILES} == DIGESTS
    assert all(path.stat().st_size < 8000 for path in FILES)


def test_they_use_every_operator() -> None:
    used = {node.op for path in FILES for node in from_bytes(path.read_bytes())[0].nodes}
    assert used == set(OPS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_written_again_byte_for_byte(path: Path) -> None:
    assert to_bytes(*from_bytes(path.read_bytes())) == path.read_bytes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_reference_gives_the_recorded_bits(path: Path) -> None:
    found, x = recorded(path)
    program, _ = from_bytes(path.read_bytes())
    check_values(program, x, found)
    assert [str(variant.bits) for variant in program.variants] == list(found.get("variants", {}))
    for bits in program.widths[1:]:
        check_values(program.at(bits), x, found["variants"][str(bits)])


def check_values(program: Program, x: np.ndarray, found: dict) -> None:
    """Every value has the recorded bits."""
    values = run_all(program, x)
    for name, value in values.items():
        data = value.astype(value.dtype.newbyteorder("<")).tobytes()
        expected = found["values"][name]
        assert value.dtype.name == expected["dtype"]
        assert list(value.shape) == expected["shape"]
        assert hashlib.sha256(data).hexdigest() == expected["sha256"], name
    assert values[program.output].tolist() == found["output"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_engine_gives_the_recorded_output(path: Path) -> None:
    pytest.importorskip("kompakt._native", reason="the native module is not built; pip install -e . builds it")
    found, x = recorded(path)
    engine = load(path.read_bytes())
    assert engine.run(x).tolist() == found["output"]
    for bits, variant in found.get("variants", {}).items():
        assert engine.use(int(bits)).run(x).tolist() == variant["output"]
