"""A cut file and its rest: the whole file byte for byte, small, and refused where anything is wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from click.testing import CliRunner

from kompakt._core.errors import ArtifactError
from kompakt.artifact import Node, Program, Weight, to_bytes
from kompakt.artifact.cut import cut
from kompakt.artifact.rest import join, rest_of
from kompakt.cli.app import cli
from kompakt.encoding import Affine, Table
from kompakt.ops.nested import nested_levels


def layer(rng: np.random.Generator, outputs: int, inputs: int, bits: int) -> Weight:
    levels = nested_levels(np.arange(-127, 128), np.ones(255, np.int64), bits)
    return Weight(rng.integers(0, 2**bits, (outputs, inputs), dtype=np.uint8), Table(bits, levels.astype(np.int16)))


@pytest.fixture(scope="module")
def program() -> Program:
    """Two nested layers in a row, of 6 and 5 bits."""
    rng = np.random.default_rng(0)

    def scales(count: int) -> dict[str, np.ndarray]:
        return {"m": np.full(count, 0.01, np.float32), "b": np.zeros(count, np.float32)}

    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(8), "inv_step": 8.0}),
        Node("linear", "a", ("q",), {"weight": layer(rng, 12, 9, 6)}),
        Node("affine", "y", ("a",), scales(12)),
        Node("quantize", "r", ("y",), {"encoding": Affine(8), "inv_step": 8.0}),
        Node("linear", "b", ("r",), {"weight": layer(rng, 5, 12, 5)}),
        Node("affine", "z", ("b",), scales(5)),
    )
    return Program((9,), nodes, "z")


@pytest.fixture(scope="module")
def full(program) -> bytes:
    return to_bytes(program, {"recipe": "name=x"})


@pytest.fixture(scope="module")
def base(program) -> bytes:
    return to_bytes(cut(program, {"a": 3, "b": 1}), {"recipe": "name=x"})


@pytest.mark.parametrize("bits", [{"a": 1, "b": 1}, {"a": 5}, {"a": 3, "b": 5}, {}])
def test_base_and_rest_give_the_whole_file(program, full, bits):
    small = to_bytes(cut(program, bits), {"recipe": "name=x"})
    assert join(small, rest_of(full, small)) == full


def test_the_rest_holds_the_missing_bits_and_tables_only(full, base):
    codes = -(-12 * 9 * 3 // 8) + -(-5 * 12 * 4 // 8)
    header = struct.unpack("<Q", rest_of(full, base)[:8])[0]
    assert len(rest_of(full, base)) == 8 + header + codes + 2**6 + 2**5


def test_upgrades_chain(program, full):
    files = [to_bytes(cut(program, {"a": b, "b": b}), {"recipe": "name=x"}) for b in (1, 3, 5)]
    steps = [rest_of(after, before) for before, after in zip(files, [*files[1:], full], strict=True)]
    found = files[0]
    for step in steps:
        found = join(found, step)
    assert found == full


def edited(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The rest with another header."""

    def apply(rest: bytes) -> bytes:
        size = struct.unpack("<Q", rest[:8])[0]
        header = change(rest[8 : 8 + size])
        return struct.pack("<Q", len(header)) + header + rest[8 + size :]

    return apply


DAMAGES = {
    "nothing": (lambda rest: b"", "truncated"),
    "short": (lambda rest: rest[:-1], "truncated"),
    "header cut": (lambda rest: rest[:40], "truncated"),
    "long header": (lambda rest: struct.pack("<Q", 1 << 62) + rest[8:], "header"),
    "no json": (edited(lambda h: b"x" + h), "header"),
    "spaces": (edited(lambda h: h.replace(b",", b", ", 1)), "header"),
    "no object": (edited(lambda h: b"[1]"), "header"),
    "version": (edited(lambda h: h.replace(b'"version":"1"', b'"version":"2"')), "version"),
    "bits": (edited(lambda h: h.replace(b'["a",6]', b'["a",9]')), "header"),
    "bool": (edited(lambda h: h.replace(b'["a",6]', b'["a",true]')), "header"),
    "twice": (edited(lambda h: h.replace(b'["b",5]', b'["a",6]')), "header"),
    "no layer": (edited(lambda h: h.replace(b'["a",6]', b'["c",6]')), "value"),
    "fewer": (edited(lambda h: h.replace(b'["a",6]', b'["a",3]')), "value"),
    "other base": (edited(lambda h: h.replace(b'"base":"', b'"base":"0', 1)), "digest"),
    "other result": (edited(lambda h: h.replace(b'"full":"', b'"full":"0', 1)), "digest"),
    "more": (lambda rest: rest + b"\0", "section"),
    "code": (lambda rest: rest[:-2] + bytes([rest[-2] ^ 1]) + rest[-1:], "any"),
}


@pytest.mark.parametrize(("damage", "kind"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_rests_are_refused(full, base, damage, kind):
    with pytest.raises(ArtifactError) as found:
        join(base, damage(rest_of(full, base)))
    assert kind in ("any", found.value.kind)


def test_every_flipped_bit_of_the_payload_is_refused(full, base):
    rest = rest_of(full, base)
    begin = 8 + struct.unpack("<Q", rest[:8])[0]
    for at in range(begin, len(rest), 7):
        wrong = bytearray(rest)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(ArtifactError):
            join(base, bytes(wrong))


def test_a_base_of_another_file_is_refused(program, full):
    last = Node("linear", "b", ("r",), {"weight": layer(np.random.default_rng(5), 5, 12, 5)})
    other = Program((9,), (*program.nodes[:4], last, program.nodes[5]), "z")
    with pytest.raises(ArtifactError, match="the base is no cut of the file"):
        rest_of(full, to_bytes(cut(other, {"b": 2}), {"recipe": "name=x"}))


def test_the_commands(full, tmp_path):
    (tmp_path / "model.kpt").write_bytes(full)
    paths = {name: str(tmp_path / name) for name in ("model.kpt", "base.kpt", "base.rest", "again.kpt")}
    cut_it = ["cut", paths["model.kpt"], "--bits", "2", "-o", paths["base.kpt"], "--rest", paths["base.rest"]]
    for arguments in (cut_it, ["join", paths["base.kpt"], paths["base.rest"], "-o", paths["again.kpt"]]):
        run = CliRunner().invoke(cli, arguments)
        assert run.exit_code == 0, run.output
    assert (tmp_path / "again.kpt").read_bytes() == full
