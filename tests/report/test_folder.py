"""Reading a run folder, and refusing what is none."""

import json

import pytest
from tests.report import fixtures

from kompakt._core.errors import DataError, StorageError
from kompakt.report import write


@pytest.fixture
def run(tmp_path):
    return fixtures.run_folder(tmp_path / "run")


def test_writes_one_page_beside_the_run_by_default(run):
    page = write(run)
    assert page == run / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in run.iterdir()) == [
        "env.json", "metrics.jsonl", "recipe.toml", "report.html", "result.json"]  # fmt: skip


def test_writes_where_told_and_accepts_text_paths(run, tmp_path):
    target = tmp_path / "new" / "page.html"
    assert write(str(run), str(target)) == target
    assert target.exists()


def test_the_page_depends_on_the_run_only(run):
    first = write(run).read_bytes()
    assert write(run).read_bytes() == first


@pytest.mark.parametrize("name", ["metrics.jsonl", "env.json", "recipe.toml"])
def test_optional_files_may_be_missing(run, name):
    (run / name).unlink()
    assert write(run).stat().st_size > 20_000


def refused(run, *words):
    with pytest.raises(DataError) as caught:
        write(run)
    for word in words:
        assert word in str(caught.value)
    assert not (run / "report.html").exists()


def test_no_folder(tmp_path):
    refused(tmp_path / "none", "none: expected a run folder, found nothing", "kompakt compress")


def test_a_file_is_no_folder(run):
    with pytest.raises(DataError, match="expected a run folder, found a file"):
        write(run / "result.json")


def test_an_empty_folder(tmp_path):
    refused(tmp_path, "result.json: not found", "is not a run folder")


def test_an_unfinished_run(run):
    (run / "result.json").unlink()
    refused(run, "result.json: not found", "has not finished", "--resume")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("result.json", "{", "expected JSON"),
        ("result.json", "[]", "expected a JSON object, got list"),
        ("result.json", "{}", "name: Field required"),
        ("result.json", '{"name": "r", "file_bytes": 0}', "file_bytes"),
        ("result.json", '{"name": "r", "file_bytes": "many"}', "got 'many'"),
        ("result.json", '{"name": "r", "file_bytes": NaN}', "file_bytes"),
        ("result.json", '{"name": "r", "file_bytes": 1, "layers": [{"op": "x"}]}', "layers.0.name"),
        ("result.json", '{"name": "r", "file_bytes": 1, "bops": true}', "bops"),
        ("result.json", '{"name": "r", "file_bytes": 1, "macs": 1e300}', "macs"),
        ("result.json", "[" * 100_000, "expected JSON"),
        ("result.json", '{"a":' * 50 + "1" + "}" * 50, "nested at most 20 deep"),
        ("env.json", "nonsense", "expected JSON"),
        ("env.json", "3", "expected a JSON object, got int"),
        ("metrics.jsonl", '{"event": "epoch"}\n{broken\n{}\n', "metrics.jsonl:2: expected JSON"),
        ("metrics.jsonl", "[1]\n", "metrics.jsonl:1: expected a JSON object"),
    ],
)
def test_damaged_files_are_named(run, name, content, words):
    (run / name).write_text(content, encoding="utf-8")
    refused(run, str(run / name), words)


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "env.json", "recipe.toml"])
def test_bytes_that_are_no_text(run, name):
    (run / name).write_bytes(b"\xff\xfe\x00")
    refused(run, str(run / name), "UTF-8")


@pytest.mark.parametrize(
    ("histogram", "words"),
    [
        ({"edges": [0, 1], "counts": [1, 2]}, "one edge more than counts"),
        ({"edges": [0], "counts": []}, "one edge more than counts"),
        ({"edges": [0, 2, 1], "counts": [1, 2]}, "edges must ascend"),
        ({"edges": [0, float("nan"), 1], "counts": [1, 2]}, "edges must ascend"),
        ({"edges": [0, 1, float("inf")], "counts": [1, 2]}, "edges must be finite"),
        ({"edges": [0, 1, 1e300], "counts": [1, 2]}, "edges must be finite and at most 1e+18"),
        ({"edges": [0, 1, 2], "counts": [1, -2]}, "not negative"),
    ],
)
def test_impossible_histograms(run, histogram, words):
    layers = [fixtures.layers()[0] | {"histogram": histogram}]
    (run / "result.json").write_text(json.dumps(fixtures.result() | {"layers": layers}), encoding="utf-8")
    refused(run, "layers.0.histogram", words)


def test_a_last_line_cut_off_by_a_kill_is_passed_over(run):
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"event": "epoch", "val_t')
    assert write(run).exists()


def test_unwritable_target(run, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match=r"page\.html"):
        write(run, tmp_path / "file" / "page.html")


def test_broken_unicode_in_a_name_is_replaced(run):
    text = json.dumps(fixtures.result() | {"name": "half\ud800"})
    (run / "result.json").write_text(text, encoding="utf-8")
    assert "half?" in write(run).read_text(encoding="utf-8")
