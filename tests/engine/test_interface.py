"""What a caller sees: arrays in and out, attributes, and one clear error per mistake."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kompakt import _native
from kompakt._core.errors import ArtifactError, InputError
from kompakt.artifact.write import to_bytes
from kompakt.engine import Engine, load, run_reference
from support.programs import random_input, resnet_like_program

PROGRAM = resnet_like_program(11, widths=(8,), size=8)
DATA = to_bytes(PROGRAM, {"recipe": "w2a2", "seed": 11})
X = random_input(PROGRAM, 0, batch=3)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load(DATA)


def test_attributes(engine: Engine) -> None:
    assert engine.input_shape == (3, 8, 8)
    assert engine.output_shape == (10,)
    assert engine.threads == 1
    assert engine.isa == _native.isa_levels()[-1]
    assert engine.metadata == {"recipe": "w2a2", "seed": 11}
    assert engine.nbytes == len(DATA)
    assert repr(engine).startswith("Engine(input (N, 3, 8, 8), output (N, 10), ")


def test_path_and_bytes_give_the_same_engine(tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "model.kpt"
    path.write_bytes(DATA)
    assert np.array_equal(load(path)(X), engine(X))
    assert np.array_equal(load(str(path))(X), engine.run(X))


def test_an_empty_batch_gives_an_empty_output(engine: Engine) -> None:
    y = engine(X[:0])
    assert y.shape == (0, 10)
    assert y.dtype == np.float32


LAYOUTS = {
    "reversed": lambda x: x[::-1],
    "transposed": lambda x: np.ascontiguousarray(x.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2),
    "channels_last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "every_second": lambda x: np.repeat(x, 2, axis=3)[..., ::2],
    "offset": lambda x: np.concatenate([x[:1], x])[1:],
    "expanded": lambda x: np.broadcast_to(x[:1], x.shape),
    "fortran": np.asfortranarray,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(engine: Engine, layout: str) -> None:
    view = LAYOUTS[layout](X)
    assert np.array_equal(engine(view), run_reference(PROGRAM, np.ascontiguousarray(view)))


def test_read_only_input(engine: Engine) -> None:
    x = X.copy()
    x.flags.writeable = False
    assert np.array_equal(engine(x), engine(X))


def test_misaligned_input(engine: Engine) -> None:
    raw = np.zeros(X.nbytes + 1, np.uint8)
    x = raw[1:].view(np.float32).reshape(X.shape)
    x[...] = X
    assert np.array_equal(engine(x), engine(X))


def test_output_belongs_to_the_caller(engine: Engine) -> None:
    first = engine(X)
    kept = first.copy()
    first[:] = 7  # writable, and not the engine's own memory
    assert np.array_equal(engine(X), kept)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X[0], ["(N, 3, 8, 8)", "(3, 8, 8)"]),
        (X[:, :2], ["(N, 3, 8, 8)", "(3, 2, 8, 8)"]),
        (np.zeros((), np.float32), ["(N, 3, 8, 8)", "()"]),
        (X.astype(np.float64), ["float32", "float64", "astype"]),
        (X.astype(np.uint8), ["float32", "uint8"]),
        ([1.0, 2.0], ["NumPy", "list"]),
        (None, ["NumPy", "NoneType"]),
    ],
    ids=["no batch", "channels", "scalar", "float64", "uint8", "list", "None"],
)
def test_wrong_inputs(engine: Engine, x: object, words: list[str]) -> None:
    for call in (engine, engine.values):
        with pytest.raises(InputError) as caught:
            call(x)
        assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("isa", _native.isa_levels())
@pytest.mark.parametrize("at", [(0, 0, 0, 0), (2, 2, 7, 7), (1, 0, 3, 5)])
def test_nan_is_refused_and_located(isa: str, at: tuple[int, ...]) -> None:
    x = X.copy()
    x[at] = np.nan
    with pytest.raises(InputError, match=f"NaN: image {at[0]}, element {at[1] * 64 + at[2] * 8 + at[3]} of 192"):
        _native.Engine(DATA, 1, isa).run(x)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", None, True, 100_000])
def test_wrong_thread_counts(threads: object) -> None:
    with pytest.raises(InputError, match="threads"):
        load(DATA, threads=threads)  # type: ignore[arg-type]


def test_damaged_file_names_its_kind_and_path(tmp_path: Path) -> None:
    damaged = bytearray(DATA)
    damaged[-1] ^= 1
    path = tmp_path / "damaged.kpt"
    path.write_bytes(damaged)
    with pytest.raises(ArtifactError, match=r"damaged\.kpt") as caught:
        load(path)
    assert caught.value.kind == "digest"
    with pytest.raises(ArtifactError) as from_bytes:
        load(bytes(damaged))
    assert from_bytes.value.kind == "digest"
    with pytest.raises(ArtifactError):
        _native.verify(bytes(damaged))
    _native.verify(DATA)


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.kpt"):
        load(tmp_path / "absent.kpt")


def test_native_module_converts_nothing(engine: Engine) -> None:
    for x in (X.astype(np.float64), X[:, :, ::-1], X.tolist()):
        with pytest.raises(TypeError):
            engine._native.run(x)


@pytest.mark.parametrize("isa", _native.isa_levels())
def test_isa_variable_forces_a_level(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMPAKT_ISA", isa)
    engine = load(DATA)
    assert engine.isa == isa
    levels = _native.isa_levels()
    below = levels[: levels.index(isa) + 1]
    for row in engine.kernels():  # a level takes what it has no kernel of its own for from the one below
        assert row["isa"] in below
        assert row["kernel"].endswith(row["isa"])
    assert isa in {row["isa"] for row in engine.kernels()}


def test_unknown_isa_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMPAKT_ISA", "sse9")
    with pytest.raises(InputError, match="'sse9'; expected one of portable, "):
        load(DATA)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names a level of x86-64")
@pytest.mark.skipif("amx" in _native.isa_levels(), reason="this CPU has every level")
def test_a_level_that_this_cpu_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMPAKT_ISA", "amx")
    with pytest.raises(InputError, match="'amx' is not supported by this CPU; it supports portable"):
        load(DATA)


def test_kernels_tell_node_reason_and_work(engine: Engine) -> None:
    rows = engine.kernels()
    layers = [node for node in PROGRAM.nodes if node.op in ("conv2d", "linear")]
    assert [row["node"] for row in rows] == [node.name for node in layers]
    assert [row["op"] for row in rows] == [node.op for node in layers]
    assert rows[0]["macs"] == 8 * 8 * 8 * 27
    known = {row["kernel"] for row in _native.kernel_table()}
    for row in rows:
        assert row["kernel"] in known
        assert row["reason"].startswith("cheapest of ")
        assert "dot_u8s8: " in row["reason"]


def test_features_explain_the_levels() -> None:
    features = _native.cpu_features()
    assert all(isinstance(has, bool) for has in features.values())
    assert ("avx2" in _native.isa_levels()) == all(features.get(name, False) for name in ("avx2", "popcnt", "bmi2"))
    if "amx" in _native.isa_levels():  # the system may refuse tiles that the CPU has
        assert features["amx_tile"]
        assert features["amx_int8"]
        assert "avx512" in _native.isa_levels()


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # any import of torch fails
import numpy as np, kompakt
engine = kompakt.load(sys.argv[1])
print(engine(np.zeros((2, 3, 8, 8), np.float32)).shape, sys.modules["torch"])
"""


def test_load_and_run_need_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "model.kpt"
    path.write_bytes(DATA)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(path)], capture_output=True, text=True, timeout=60, env=environment
    )
    assert result.stdout.split() == ["(2,", "10)", "None"], result.stderr
