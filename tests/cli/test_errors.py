"""What goes wrong on a first day is one message: what was wrong, where, the nearest valid names, one thing to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from support.command import Outcome

Command = Callable[..., Outcome]
USAGE, FAILED = 2, 1


def expect(outcome: Outcome, code: int, *parts: str) -> None:
    """The exit code, nothing on stdout, and one message on stderr that has every part."""
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    message = outcome.err[outcome.err.index("error: ") :]
    assert "Traceback" not in message
    assert len(message.strip().splitlines()) == 1
    for part in parts:
        assert part in message


# Mistakes that other tools accepted in silence, or answered with a bare exception.
SETTINGS = {
    "a recipe that changes no layer": (
        [f"stage.{part}=float" for part in ("weight_bits", "activation_bits", "first_last", "residual_bits")],
        ["changes no layer", "features.3"],
    ),
    "an unknown option": (["stage.weight_bit_width=4"], ["weight_bit_width", "did you mean 'weight_bits'"]),
    "an unknown section": (["trian.epochs=4"], ["'trian'", "did you mean 'train'"]),
    "zero bits": (["stage.weight_bits=0"], ["weight", "bits", "0"]),
    "more bits than the method has": (["stage.weight_bits=7"], ["bits must be one of (1, 2, 3, 4)", "7"]),
    "bits as a word": (["stage.weight_bits=int4"], ["weight_bits", "int4"]),
    "a pattern that matches nothing": (
        ["stage.override=[{layers='featurs.3', method='lsq'}]"], ["matches 0 of 5 layers", "did you mean 'features.3'"],
    ),
    "an unknown method": (["stage.method=lqnets"], ["'lqnets'", "did you mean 'lq_nets'"]),
    "a fraction out of range": (["train.distill=1.5"], ["train.distill", "less than or equal to 1", "1.5"]),
    "a word for a number": (["train.epochs=many"], ["train.epochs", "integer", "many"]),
    "a key below a value": (["name.x=1"], ["name is a value, not a table"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(kompakt: Command, net: Path, name: str) -> None:
    given, parts = SETTINGS[name]
    options = [part for setting in given for part in ("-s", setting)]
    expect(kompakt("plan", f"{net}:build", "--recipe", "w2a2-lq", "--input", "1,1,8,8", *options), USAGE, *parts)


def test_wrong_example_input_names_the_layer(kompakt: Command, net: Path) -> None:
    outcome = kompakt("plan", f"{net}:build", "--recipe", "w2a2-lq", "--input", "1,3,8,8")
    expect(outcome, FAILED, "features.0", "(2, 3, 8, 8)", "3 channels")


@pytest.mark.parametrize("shape", ["3", "1,x,8,8", "1,3,-8,8", "1,3,8"])
def test_malformed_example_input(kompakt: Command, net: Path, shape: str) -> None:
    expect(kompakt("plan", f"{net}:build", "--input", shape), USAGE, "expected 1,C,H,W", shape)


def test_unknown_input_shape(kompakt: Command, net: Path) -> None:
    expect(kompakt("inspect", f"{net}:build"), USAGE, "give --input 1,C,H,W")


USER_FILES = {
    "a function that is not there": ("def bild(): ...", ["no function 'build'", "did you mean 'bild'"]),
    "no module": ("def build(): return {}", ["must return a torch.nn.Module", "dict"]),
    "an exception in the file": ("def build():\n    x = 1\n    return x.y", ["line 3", "AttributeError"]),
    "an import that fails": ("import no_such_module", ["line 1", "no_such_module"]),
    "a syntax error": ("def build(:", ["SyntaxError"]),
    "a network that cannot be traced": (
        "from torch import nn\nclass N(nn.Module):\n def __init__(s):\n  super().__init__(); s.c = nn.Conv2d(1, 4, 3)\n"
        " def forward(s, x):\n  return s.c(x) if x.sum() > 0 else x\ndef build(): return N()",
        ["cannot be traced"],
    ),
    "a layer that is not supported": (
        "from torch import nn\ndef build(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softshrink())",
        ["1", "Softshrink", "supported"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", USER_FILES)
def test_user_models(kompakt: Command, tmp_path: Path, name: str) -> None:
    text, parts = USER_FILES[name]
    (tmp_path / "mynet.py").write_text(text)
    outcome = kompakt("inspect", f"{tmp_path / 'mynet.py'}:build", "--input", "1,1,8,8")
    expect(outcome, outcome.code, *parts)
    assert outcome.code in (USAGE, FAILED)


def test_sources_that_are_not_there(kompakt: Command, net: Path, tmp_path: Path) -> None:
    expect(kompakt("compress", tmp_path / "no.toml"), USAGE, "no.toml", "neither a recipe file nor a built-in recipe")
    expect(kompakt("compress", f"{net}:build", "--recipe", "w2a2"), USAGE, "w2a2", "did you mean 'w2a2-lq'")
    expect(kompakt("compress", f"{tmp_path / 'no.py'}:build", "--data", "digits"), USAGE, "no file", "no.py")
    expect(kompakt("inspect", tmp_path / "no.kpt"), USAGE, "no.kpt", "give MODEL.kpt")
    expect(kompakt("plan", "zoo:cifar10-resnet-20"), FAILED, "cifar10-resnet-20", "KOMPAKT_DATA")


def test_data_that_are_not_there(kompakt: Command, net: Path, tmp_path: Path) -> None:
    model = (f"{net}:build", "--recipe", "w2a2-lq", "--folder", tmp_path / "run")
    expect(kompakt("compress", *model), USAGE, "names no data", "--data")
    expect(kompakt("compress", *model, "--data", "digit"), USAGE, "unknown data 'digit'", "did you mean 'digits'")
    (tmp_path / "mine.py").write_text("def loaders(): return 3")
    expect(
        kompakt("compress", *model, "--data", f"{tmp_path / 'mine.py'}:loaders"), FAILED, "pair (train, test)", "int"
    )


def test_a_built_in_recipe_needs_a_model(kompakt: Command) -> None:
    expect(
        kompakt("compress", "w2a2-lq"), USAGE, "names no model", "kompakt compress MODEL.py:FUNCTION --recipe w2a2-lq"
    )


def test_recipe_goes_with_a_model_only(kompakt: Command, run_folder: Path) -> None:
    expect(kompakt("plan", run_folder / "recipe.toml", "--recipe", "w2a2-lq"), USAGE, "--recipe goes with a model")


def test_toml_mistakes_name_the_line(kompakt: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("version = 1\nname = \n")
    expect(kompakt("compress", tmp_path / "bad.toml"), USAGE, "bad.toml", "not valid TOML", "line 2")


@pytest.mark.parametrize(
    ("setting", "part"), [("epochs", "KEY=VALUE"), ("=3", "KEY=VALUE"), ("name=a b", "needs quotes")]
)
def test_malformed_settings(kompakt: Command, net: Path, setting: str, part: str) -> None:
    expect(kompakt("plan", f"{net}:build", "-s", setting), USAGE, part)


def test_a_finished_run_is_not_replaced_by_accident(kompakt: Command, net: Path, run_folder: Path) -> None:
    before = (run_folder / "result.json").read_bytes()
    arguments = (f"{net}:build", "--recipe", "w2a2-lq", "--data", "digits", "--folder", run_folder)
    expect(kompakt("compress", *arguments), USAGE, "holds a finished run", "--force", "--resume")
    expect(kompakt("compress", *arguments, "--force", "--resume"), USAGE, "give one of them")
    assert (run_folder / "result.json").read_bytes() == before


def test_an_unfinished_run_is_not_replaced_by_accident(kompakt: Command, net: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    arguments = (f"{net}:build", "--recipe", "w2a2-lq", "--data", "digits", "--folder", tmp_path)
    expect(kompakt("compress", *arguments), USAGE, "holds an unfinished run", "--resume goes on", "--force")


def test_the_demo_spares_other_folders(kompakt: Command, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    expect(kompakt("demo", "--folder", tmp_path), USAGE, "holds something else", "--folder")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("command", ["inspect", "evaluate", "run", "bench"])
def test_damaged_files_are_refused(kompakt: Command, model_file: Path, tmp_path: Path, command: str) -> None:
    data = bytearray(model_file.read_bytes())
    data[-1] ^= 1
    (tmp_path / "bad.kpt").write_bytes(data)
    more = ["--random"] if command == "run" else []
    expect(kompakt(command, tmp_path / "bad.kpt", *more), FAILED, "SHA-256")


def test_verify_says_what_is_wrong_with_a_file(kompakt: Command, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.kpt").write_bytes(model_file.read_bytes()[:1000])
    outcome = kompakt("verify", tmp_path / "bad.kpt")
    assert outcome.code == FAILED
    assert outcome.out.startswith("FAILED  file: refused (truncated)")


def test_inputs_that_do_not_fit(kompakt: Command, model_file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "shape.npy", np.zeros((1, 3, 8, 8), np.float32))
    np.save(tmp_path / "type.npy", np.zeros((1, 1, 8, 8)))
    np.save(tmp_path / "nan.npy", np.full((1, 1, 8, 8), np.nan, np.float32))
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1 2 3")
    np.savez(tmp_path / "many.npz", a=np.zeros(3))
    for name, parts in {
        "shape.npy": ["(N, 1, 8, 8)", "(1, 3, 8, 8)"], "type.npy": ["float32", "float64"], "nan.npy": ["NaN"],
        "object.npy": ["expected a .npy file"], "text.npy": ["expected a .npy file"], "many.npz": ["archive"],
    }.items():  # fmt: skip
        expect(kompakt("run", model_file, tmp_path / name), USAGE, *parts)
    expect(kompakt("run", model_file), USAGE, "INPUT.npy or --random")
    expect(kompakt("run", model_file, tmp_path / "nan.npy", "--random"), USAGE, "INPUT.npy or --random")


def test_a_model_file_never_chooses_code_to_run(kompakt: Command, model_file: Path, net: Path) -> None:
    outcome = kompakt("bench", model_file, "--data", "digits")
    expect(outcome, USAGE, "must not choose code to run", f"give --model {net}:build")


def test_engines_that_there_are_not(kompakt: Command, model_file: Path, net: Path) -> None:
    model = ("--model", f"{net}:build", "--data", "digits")
    expect(kompakt("bench", model_file, *model, "--against", "onnxrt"), USAGE, "'onnxrt'", "did you mean 'onnxruntime")
    expect(kompakt("bench", model_file, *model, "--threads", "1,x"), USAGE, "positive integers")
    expect(kompakt("bench", model_file, *model, "--threads", "4096"), USAGE, "threads", "4096")


def test_a_level_that_there_is_not(kompakt: Command, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMPAKT_ISA", "avx1024")
    expect(kompakt("run", model_file, "--random"), USAGE, "avx1024", "portable")
    outcome = kompakt("doctor")
    assert outcome.code == FAILED
    assert "failed  engine:" in outcome.out


def test_folders_that_are_no_runs(kompakt: Command, tmp_path: Path) -> None:
    expect(kompakt("report", tmp_path / "no"), FAILED, "expected a run folder")
    expect(kompakt("results", tmp_path, "--root", tmp_path), FAILED, "result.json")


def test_a_disk_that_does_not_take_the_output(kompakt: Command, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    expect(
        kompakt("run", model_file, "--random", "--output", tmp_path / "file" / "y.npy"), FAILED, "y.npy", "cannot write"
    )


@pytest.mark.parametrize(("words", "parts"), [
    (["comprss"], ["no command 'comprss'", "did you mean 'compress'"]),
    (["compress"], ["RECIPE.toml", "kompakt compress --help"]),
    (["demo", "--foldr", "x"], ["--foldr", "--folder"]),
    (["evaluate", "no-such-file.kpt"], ["no-such-file.kpt", "does not exist"]),
])  # fmt: skip
def test_misspelt_commands(kompakt: Command, words: list[str], parts: list[str]) -> None:
    expect(kompakt(*words), USAGE, *parts)


def test_tracebacks_are_for_those_who_ask(kompakt: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kompakt import RecipeError

    monkeypatch.setenv("KOMPAKT_DEBUG", "1")
    with pytest.raises(RecipeError, match="neither a recipe file"):
        kompakt("compress", tmp_path / "no.toml")
