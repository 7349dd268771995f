"""Writing and reading are inverse, byte for byte, for every program and every metadata."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as safetensors_load

from kompakt._core.errors import ArtifactError, StorageError
from kompakt.artifact import FloatWeight, Node, Program, Weight, from_bytes, load, save, sections, to_bytes
from kompakt.encoding import Affine, Encoding, Planes, Table
from support import parts
from support.programs import random_program, resnet_like_program
from support.twin import METADATA, twin_bytes, twin_program

TEXT = st.text(string.ascii_letters + string.digits + string.punctuation + " \n\t", max_size=20)
KEYS = TEXT.filter(lambda key: len(key) > 0)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


def linear_program(weight: Weight) -> Program:
    """One linear layer."""
    row = np.ones(len(weight.codes), np.float32)
    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(8), "inv_step": 1.0}),
        Node("linear", "l", ("q",), {"weight": weight}),
        Node("affine", "out", ("l",), {"m": row, "b": -0.0 * row}),
    )
    return Program((weight.shape[1],), nodes, "out")


@given(st.integers(0, 1 << 30))
@settings(max_examples=250)
def test_random_programs(seed: int) -> None:
    program = random_program(seed)
    data = to_bytes(program)
    again, metadata = from_bytes(data)
    assert again == program
    assert metadata == {}
    assert to_bytes(again) == data


@given(
    st.integers(1, 9),
    st.integers(1, 11),
    st.integers(1, 8),
    st.sampled_from(["affine", "pm", "01", "table"]),
    st.booleans(),
)
@settings(max_examples=250)
def test_every_weight_encoding(outputs: int, inputs: int, bits: int, kind: str, is_shared: bool) -> None:
    rng = np.random.default_rng([outputs, inputs, bits])
    grains = 1 if is_shared else outputs
    encoding: Encoding = Affine(bits, signed=True)
    if kind in ("pm", "01"):
        encoding = Planes(bits, parts.bounded_basis(rng, bits, grains, -127, 127), kind)  # type: ignore[arg-type]
    elif kind == "table":
        encoding = Table(bits, rng.integers(-127, 128, (grains, 1 << bits)))
    program = linear_program(parts.weight(rng, (outputs, inputs), encoding))
    data = to_bytes(program)
    assert from_bytes(data)[0] == program
    assert to_bytes(*from_bytes(data)) == data


@given(st.dictionaries(KEYS, TEXT | NUMBERS, max_size=5))
@settings(max_examples=100)
def test_metadata(metadata: dict[str, str | int | float]) -> None:
    data = to_bytes(random_program(0), metadata)
    program, again = from_bytes(data)
    assert again == metadata
    assert {key: type(value) for key, value in again.items()} == {key: type(value) for key, value in metadata.items()}
    assert to_bytes(program, again) == data


def test_metadata_order_does_not_matter() -> None:
    program = random_program(0)
    assert to_bytes(program, {"a": 1, "b": 2}) == to_bytes(program, {"b": 2, "a": 1})


def test_signed_zeros_of_offsets_survive() -> None:
    program = from_bytes(to_bytes(linear_program(parts.weight(np.random.default_rng(0), (2, 2), Affine(2)))))[0]
    assert np.signbit(program.nodes[-1].attrs["b"]).all()


def test_lists_tuples_and_numpy_integers_make_the_same_node() -> None:
    plain = Node("max_pool", "m", ["input"], {"kernel": [2, 2], "padding": [0, 1]})  # type: ignore[arg-type]
    other = Node(
        "max_pool", "m", ("input",), {"kernel": np.array([2, 2]), "stride": (2, 2), "padding": (np.int8(0), 1)}
    )
    assert plain == other
    assert plain.attrs == {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 1)}


def test_stock_safetensors_lists_every_section() -> None:
    for seed in range(20):
        data = to_bytes(random_program(seed), METADATA)
        tensors = safetensors_load(data)
        assert list(sections(data))[1:] == ["manifest", "codes", "bases", "floats", "thresholds", "directions"]
        for name, tensor in tensors.items():
            assert tensor.nbytes == sections(data)[name]


def test_sections_add_up_and_are_as_small_as_the_format_says() -> None:
    data = twin_bytes()
    lengths = sections(data)
    assert sum(lengths.values()) == len(data)
    assert (8 + lengths["header"] - 8) % 64 == 0
    assert lengths["manifest"] % 64 == 0
    weights = [node.attrs["weight"] for node in twin_program().nodes if "weight" in node.attrs]
    assert sum(isinstance(weight, FloatWeight) for weight in weights) == 1
    # 3 planes of 108 bits, 8 table codes of 3 bits, 3 codes of 2 bits, 30 codes of 5 bits.
    assert lengths["codes"] == 3 * 14 + 3 + 1 + 19


def test_a_two_bit_residual_network_is_small() -> None:
    program = resnet_like_program(0, widths=(16, 32, 64), size=32, blocks=3)
    weights = [node.attrs["weight"] for node in program.nodes if "weight" in node.attrs]
    count = sum(weight.codes.size for weight in weights)
    # 0.25 bytes a weight, 16 bytes a channel, and the manifest.
    assert len(to_bytes(program)) < 0.25 * count + 30_000


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "model.kpt"
    save(path, twin_program(), METADATA)
    assert load(path) == (twin_program(), METADATA)
    assert path.read_bytes() == twin_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["model.kpt"]


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.kpt"
    path.write_bytes(twin_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"bad\.kpt.*ends early") as caught:
        load(path)
    assert caught.value.kind == "truncated"


def test_load_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.kpt")


def test_save_to_an_impossible_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        save(tmp_path / "file" / "model.kpt", twin_program())


def test_an_illegal_program_is_not_saved(tmp_path: Path) -> None:
    program = Program((3,), (Node("clamp", "c", ("input",)),), "other")
    with pytest.raises(ArtifactError, match="output 'other' is no node"):
        save(tmp_path / "model.kpt", program)
    assert list(tmp_path.iterdir()) == []
