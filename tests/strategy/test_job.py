"""The whole circle on a small real task: prepare, train, finish, save, load, run, report."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import kompakt as kp
from kompakt._core.errors import DataError
from kompakt.data import Dataset, Split, digits
from kompakt.quant.assigned_bits import AssignedBits
from kompakt.strategy import run_recipe
from kompakt.strategy.evaluation import exact_images
from kompakt.strategy.recipe import parse_recipe
from kompakt.strategy.runfolder import recipe_toml
from kompakt.zoo import DigitsNet


def small_recipe(**changes: object) -> kp.Recipe:
    raw = {
        "version": 1, "name": "test",
        "stage": [{"kind": "quantize", "method": "lq_nets", "weight_bits": 2, "activation_bits": 2}],
        "train": {"epochs": 1, "batch_size": 64, "compile": False, "bf16": False, "lr": 0.02, "last_stage_epochs": 1},
    }  # fmt: skip
    return parse_recipe(raw, changes)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits().smallest(512, 200)


@pytest.fixture(scope="module")
def small(data: Dataset) -> kp.Compressed:
    torch.manual_seed(0)
    return kp.compress(DigitsNet(16), small_recipe(), data=data)


def test_engine_equals_reference_and_simulation(small: kp.Compressed) -> None:
    engine = small.result["engine"]
    assert engine["bit_equal_to_reference"]["equal"]
    assert engine["argmax_equal_to_fake_quant"] == engine["images"] == 200
    assert engine["images_within_tolerance"] >= 190
    exact = engine["integer_exact"]
    assert exact["argmax_equal"] == exact["images"] == 200
    assert exact["max_abs_logit_difference"] < 1e-4
    assert exact["codes_compared"] > 200 * 64
    assert exact["codes_wrong"] == 0


@pytest.mark.parametrize(
    ("macs", "available", "is_trained", "images"),
    [
        (40_000_000, 10_000, True, 10_000), (2 * 10**8, 10_000, True, 2_500),
        (10**12, 10_000, True, 1), (10**9, 10_000, True, 500),
        (10**9, 100, True, 100), (0, 7, True, 7), (10**8, 10_000, False, 500),
    ],
)  # fmt: skip
def test_the_integer_exact_evaluation_takes_what_its_cost_allows(
    macs: int, available: int, is_trained: bool, images: int
) -> None:
    assert exact_images(macs, available, is_trained) == images


def test_sections_account_for_every_byte(small: kp.Compressed) -> None:
    assert sum(small.result["sections"].values()) == small.result["file_bytes"] == len(small.to_bytes())


def test_saved_file_runs_without_the_model(small: kp.Compressed, data: Dataset, tmp_path) -> None:
    small.save(tmp_path / "model.kpt")
    x = data.normalise(data.test.images[:7])
    assert np.array_equal(kp.load(tmp_path / "model.kpt", threads=2)(x), small.engine()(x))
    assert list(tmp_path.iterdir()) == [tmp_path / "model.kpt"]


def test_same_job_gives_the_same_bytes(small: kp.Compressed, data: Dataset) -> None:
    torch.manual_seed(0)
    assert kp.compress(DigitsNet(16), small_recipe(), data=data).to_bytes() == small.to_bytes()


def test_report_and_summary(small: kp.Compressed, tmp_path) -> None:
    page = small.report(tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "features.0" in page
    assert str(small.result["file_bytes"]) in small.summary().replace(" ", "").replace(",", "")


def test_model_is_not_changed(data: Dataset) -> None:
    model = DigitsNet(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kp.compress(model, small_recipe(), data=data)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_own_training_loop(data: Dataset) -> None:
    torch.manual_seed(0)
    x = torch.from_numpy(data.normalise(data.train.images[:128]))
    labels = torch.from_numpy(data.train.labels[:128])
    job = kp.prepare(DigitsNet(8), small_recipe(), x)
    optimizer = torch.optim.SGD(job.module.parameters(), 0.05)
    job.module.train()
    losses = []
    for step in range(30):
        if step == 25:
            job.last_stage()
        loss = torch.nn.functional.cross_entropy(job.module(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        job.step()
        losses.append(float(loss.detach()))
    small = job.finish()
    assert losses[-1] < losses[0]
    job.module.eval()
    with torch.no_grad():
        simulated = job.module(x).numpy()
    assert np.abs(small(x.numpy()) - simulated).max() < 1e-3


def test_own_training_loop_of_a_method_that_assigns_bits(data: Dataset) -> None:
    torch.manual_seed(0)
    x = torch.from_numpy(data.normalise(data.train.images[:64]))
    labels = torch.from_numpy(data.train.labels[:64])
    recipe = small_recipe(**{
        "stage.method": "bmpq", "stage.activation_method": "lsq", "stage.weight_bits": 6, "stage.mean_bits": 3.0,
    })  # fmt: skip
    job = kp.prepare(DigitsNet(8), recipe, x)
    rules = [m for m in job.module.modules() if isinstance(m, AssignedBits)]

    def loss_of() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(job.module(x), labels)

    def bits_after_an_epoch() -> list[int]:
        loss = loss_of()
        loss.backward()
        job.before_step(loss, loss_of, ends_epoch=True)
        return [rule.whole_bits for rule in rules]

    before, after = [rule.whole_bits for rule in rules], bits_after_an_epoch()
    assert before == [6] * len(rules)
    assert min(after) <= 3
    job.last_stage()
    rules[0].assign(5)
    assert bits_after_an_epoch() == [5, *after[1:]], "bits are fixed in the last stage"
    stored = {layer["weight_bits"] for layer in job.finish().result["layers"][1:-1]}
    assert stored == {5, *after[1:]}


def test_pairs_and_loaders_are_data(data: Dataset) -> None:
    images, labels = data.normalise(data.train.images[:128]), data.train.labels[:128]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)), batch_size=50
    )
    small = kp.compress(DigitsNet(8), small_recipe(), data=(loader, (images, labels)))
    assert small.result["engine"]["images"] == 128


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (None, "needs data"), (5, "pair"), ((5, 6), "images"),
        (((np.zeros((4, 1, 8, 8)), np.zeros(3)), (np.zeros((4, 1, 8, 8)), np.zeros(4))), "labels"),
        (((np.full((4, 1, 8, 8), np.nan), np.zeros(4)), (np.zeros((4, 1, 8, 8)), np.zeros(4))), "NaN"),
    ],
)  # fmt: skip
def test_bad_data_is_refused(given: object, word: str) -> None:
    with pytest.raises(kp.KompaktError, match=word):
        kp.compress(DigitsNet(8), small_recipe(), data=given)


def test_recipe_that_changes_nothing_is_an_error(data: Dataset) -> None:
    recipe = small_recipe(
        **{"stage.weight_bits": "float", "stage.activation_bits": "float", "stage.first_last": "float"}
    )
    with pytest.raises(kp.RecipeError, match="changes no layer"):
        kp.compress(DigitsNet(8), recipe, data=data)


@pytest.mark.parametrize("ends", ["float", 8, 4])
@pytest.mark.parametrize("residual", ["float", 8])
def test_ends_and_stored_values_may_stay_float(data: Dataset, ends: object, residual: object) -> None:
    recipe = small_recipe(**{"stage.first_last": ends, "stage.residual_bits": residual, "train.epochs": 0})
    result = kp.compress(DigitsNet(8), recipe, data=data).result
    assert result["engine"]["bit_equal_to_reference"]["equal"]
    assert result["layers"][0]["weight_bits"] == (32 if ends == "float" else ends)


def test_recipe_text_reads_back(tmp_path) -> None:
    recipe = small_recipe(
        **{
            "stage.override": [{"layers": "features.*", "weight_bits": 4}],
            "published": {"value": 1.5, "source": 'a "b"'},
        }
    )
    (tmp_path / "r.toml").write_text(recipe_toml(recipe))
    assert kp.load_recipe(tmp_path / "r.toml") == recipe


def test_run_folder_is_complete(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text("from kompakt.zoo import DigitsNet\n\n\ndef build():\n    return DigitsNet(8)\n")
    recipe = small_recipe(**{"model.source": "mynet.py:build", "data.source": "digits", "train.epochs": 1})
    seen: list[dict] = []
    run_recipe(recipe, tmp_path / "run", smoke=True, on_progress=seen.append)
    folder = tmp_path / "run" / "smoke"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "recipe.toml",
        "metrics.jsonl",
        "checkpoint.pt",
        "model.kpt",
        "report.html",
        "env.json",
        "result.json",
    }
    result = json.loads((folder / "result.json").read_text())
    assert result["engine"]["images"] == 256
    assert result["file_bytes"] == (folder / "model.kpt").stat().st_size
    assert [s["phase"] for s in seen if s["event"] == "phase"] == ["load", "prepare", "train", "pack", "evaluate"]


def test_normalisation_of_data_is_float_exact() -> None:
    images = np.arange(2 * 1 * 2 * 2, dtype=np.uint8).reshape(2, 1, 2, 2)
    data = Dataset(
        "x", Split(images, np.zeros(2, np.int64)), Split(images, np.zeros(2, np.int64)), (0.5,), (0.25,), scale=0.5
    )
    assert np.array_equal(data.normalise(images), (images * 0.5 - 0.5) / 0.25)


def test_a_run_starts_from_another(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text("from kompakt.zoo import DigitsNet\n\n\ndef build():\n    return DigitsNet(8)\n")
    (tmp_path / "wider.py").write_text("from kompakt.zoo import DigitsNet\n\n\ndef build():\n    return DigitsNet(9)\n")
    first = small_recipe(**{"model.source": "mynet.py:build", "data.source": "digits"})
    trained = run_recipe(first, tmp_path / "first")
    settings = {"model.source": "mynet.py:build", "model.start": "first", "data.source": "digits", "train.epochs": 0}
    again = run_recipe(small_recipe(**settings), tmp_path / "again")
    assert np.array_equal(again.engine().run(IMAGES), trained.engine().run(IMAGES))
    ends = run_recipe(small_recipe(**settings, **{"stage.first_last": "float"}), tmp_path / "ends")
    name = "features.3.parametrizations.weight.original"
    assert torch.equal(ends.job.module.state_dict()[name], trained.job.module.state_dict()[name])
    assert ends.result["engine"]["top1"] == pytest.approx(trained.result["engine"]["top1"], abs=5)
    per_channel = run_recipe(small_recipe(**settings, **{"stage.edge_method": "min_max"}), tmp_path / "per_channel")
    state, weight = per_channel.job.module.state_dict(), "features.0.parametrizations.weight"
    top = state[f"{weight}.original"].flatten(1).abs().amax(1)
    torch.testing.assert_close(state[f"{weight}.0.quantizer.rule.step"], top / 127)  # of the weights that came
    for changes, word in (
        ({"model.start": "nowhere"}, "no checkpoint"),
        ({"model.source": "wider.py:build"}, "does not fit"),
    ):
        with pytest.raises(kp.RecipeError, match=word):
            run_recipe(small_recipe(**{**settings, **changes}), tmp_path / "bad")


IMAGES = np.random.default_rng(0).standard_normal((5, 1, 8, 8)).astype(np.float32)


def test_samples_alone_are_enough_without_training(data: Dataset) -> None:
    """The classes are then those of the float network, and the result says so."""
    torch.manual_seed(0)
    model = DigitsNet(16)
    samples = data.normalise(data.train.images[:128])
    result = kp.compress(model, "int8", data=samples).result
    assert result["labels"] == "float network"
    assert result["float"]["top1"] == 100.0
    assert result["engine"]["top1"] >= 95.0
    assert result["engine"]["bit_equal_to_reference"]["equal"]
    assert kp.compress(model, "int8", data=data.smallest(64, 64)).result["labels"] == "given"


def test_training_needs_labels(data: Dataset) -> None:
    with pytest.raises(DataError, match=r"without labels.*int8"):
        kp.compress(DigitsNet(16), small_recipe(), data=data.normalise(data.train.images[:128]))


def test_few_samples_are_used_with_a_warning(data: Dataset) -> None:
    with pytest.warns(UserWarning, match="9 samples set the ranges; 64 or more"):
        kp.compress(DigitsNet(16), "int8", data=data.normalise(data.train.images[:9]))


@pytest.mark.parametrize("name", ["int8", "w4a8", "w3a8", "ternary-a8", "w2-table"])
def test_recipes_without_training_give_equal_bits(name: str, data: Dataset) -> None:
    torch.manual_seed(0)
    engine = kp.compress(DigitsNet(16), name, data=data.smallest(64, 64)).result["engine"]
    assert engine["bit_equal_to_reference"]["equal"]
    assert engine["integer_exact"]["argmax_equal"] == 64
    assert engine["integer_exact"]["codes_wrong"] == 0
