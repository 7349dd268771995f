"""The page as text: charts have content, all is escaped, nothing is loaded, optional parts may be missing."""

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote

import pytest
from tests.report import fixtures

from kompakt._core.errors import DataError
from kompakt.report import render

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(2)>"'`{{7*7}}{% raw %}&lt;"""


class Page(HTMLParser):
    """A tiny document: elements as (tag, attributes, text below), with a check that tags are balanced."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "path": [e["tag"] for e in self._open], "text": "", **dict(attributes)}
        element["ids"] = [e.get("id") for e in self._open]
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1]["tag"] == tag, f"</{tag}> closes <{self._open[-1]['tag']}>"
        self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def find(self, tag=None, **attributes):
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [
            element
            for element in self.elements
            if tag in (None, element["tag"])
            and all(value in str(element.get(key, "")).split() for key, value in wanted.items())
        ]

    def below(self, id_, tag):
        return [e for e in self.elements if e["tag"] == tag and id_ in e["ids"]]


def full():
    return render(fixtures.result(), fixtures.metrics(), fixtures.env(), fixtures.RECIPE)


@pytest.fixture(scope="module")
def text():
    return full()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_size(text):
    assert len(text.encode()) < 200_000


def test_a_thousand_layers_stay_below_one_megabyte():
    layers = [one | {"name": f"block{i}.{one['name']}"} for i in range(50) for one in fixtures.layers()]
    page = render(fixtures.result() | {"layers": layers}, fixtures.metrics(5000), fixtures.env(), "x" * 200_000)
    assert len(page.encode()) < 1_000_000
    for note in ["Cut here", "The first 120 layers are drawn.", "The 250 layers with the most bytes, of 1000"]:
        assert note in page


def test_every_chart_has_content(page):
    assert len(page.below("chart-size", "rect")) == 4
    assert len(page.below("chart-sections", "rect")) == 7
    rows = page.below("chart-layers", "li")
    assert len(rows) == 20
    assert len(page.find("text", class_="levelname")) == 18 * 4
    assert len(page.below("chart-layers", "rect")) == 20 * (4 + 4)
    weights = [float(e["width"]) for e in page.below("chart-layers", "rect") if e["class"] == "weight-on"]
    assert weights == [80, *[20] * 18, 80]  # ten pixels for each bit
    assert len(page.below("chart-latency", "rect")) == 8
    assert len(page.find("svg", class_="histogram")) == 20
    assert len(page.find("path", class_="weights")) == 20
    assert len(page.find("line", class_="level")) == 18 * 4
    assert len(page.find("path", class_="rug")) == 2
    lines = page.find("path", class_="line")
    assert len(lines) == 2
    assert all(line["d"].count("L") == 59 for line in lines)
    assert len(page.find("line", class_="reference")) == 2
    assert len(page.find("line", class_="stage")) == 4


def test_bars_are_in_proportion(page):
    before, after = (e for e in page.below("chart-size", "rect") if e["class"] != "track")
    assert before["width"] == "100%"
    assert float(after["width"].rstrip("%")) == pytest.approx(100 * 87800 / 1092520, abs=0.01)
    shares = [float(e["width"].rstrip("%")) for e in page.below("chart-sections", "rect")]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert shares == sorted(shares, reverse=True)


def test_plot_points_are_readable_by_the_script(page):
    for plot in page.find(class_="plot"):
        points = json.loads(plot["data-points"])
        assert len(points) == 60
        assert all(0 <= across <= 1 and 0 <= down <= 1 for _, _, across, down in points)
        assert all(a[0] < b[0] for a, b in pairwise(points))
        assert plot["tabindex"] == "0"
        assert "Arrow keys" in plot["aria-label"]


def test_numbers_appear_with_units(page):
    words = page.find("body")[0]["text"].replace("\u202f", " ")
    for fact in ["12.4×", "−1.36 pt", "1 092 520 B", "87 800 B", "91.73 %", "90.37 %", "40.6 M",
                 "9 999 of 10 000 images", "4 h 12 min", "0.64 ms", "Zhang et al.", "2.13.0+cpu"]:  # fmt: skip
        assert fact in words, fact


def test_recipe_is_shown_and_downloadable(page):
    assert page.find("pre")[0]["text"] == fixtures.RECIPE
    link = next(e for e in page.find("a") if e.get("download") == "recipe.toml")
    assert unquote(link["href"].split(",", 1)[1]) == fixtures.RECIPE


def tables(page):
    links = [e for e in page.find("a") if (e.get("download") or "").endswith(".csv")]
    found = {}
    for link in links:
        assert link["href"].startswith("data:text/csv;charset=utf-8,")
        content = unquote(link["href"].split(",", 1)[1])
        found[link["download"]] = list(csv.reader(io.StringIO(content)))
    return found


def test_tables_download_as_csv(page):
    found = tables(page)
    assert set(found) == {
        "before-after.csv",
        "latency.csv",
        "layers.csv",
        "sections.csv",
        "skipped.csv",
        "training.csv",
    }
    layers = found["layers.csv"]
    assert len(layers) == 21
    assert layers[1][layers[0].index("layer")] == "conv1"
    assert layers[1][layers[0].index("packed (B)")] == "432"
    assert found["sections.csv"][1][:2] == ["codes", "67888"]
    assert len(found["training.csv"]) == 61


def test_csv_is_safe_for_spreadsheets():
    layers = [fixtures.layers()[0] | {"name": name, "macs": -5} for name in ("=1+1", "+a", "@b", "-c", 'say "hi", x')]
    rows = tables(Page(render(fixtures.result() | {"layers": layers}, [], {}, "")))["layers.csv"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+a", "'@b", "'-c", 'say "hi", x']
    assert rows[1][rows[0].index("MACs")] == "-5"


def poisoned(value):
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_text_stays_text(page):
    result = poisoned(fixtures.result())
    result["bits"][HOSTILE], result["sections"][HOSTILE], result["latency"]["rows"][0][HOSTILE] = HOSTILE, 9, HOSTILE
    metrics = [line | ({"name": HOSTILE} if line["event"] == "stage" else {}) for line in fixtures.metrics()]
    hostile = Page(render(result, metrics, {HOSTILE: {HOSTILE: [HOSTILE]}}, HOSTILE * 20))
    assert len(hostile.find("script")) == len(page.find("script")) == 1
    assert hostile.find("img") == []
    assert not any(key.startswith("on") for e in hostile.elements for key in e)
    assert "49" not in hostile.find("pre")[0]["text"]
    assert hostile.find("pre")[0]["text"].count(HOSTILE) == 20
    assert hostile.find("script")[0]["text"] == page.find("script")[0]["text"]


def test_nothing_is_loaded(text, page):
    assert not any(
        e.get("src") or e["tag"] in {"link", "iframe", "object", "embed", "base", "form"} for e in page.elements
    )
    assert all(e["href"].startswith(("#", "data:")) for e in page.find("a"))
    assert not re.search(r"@import|url\((?!#)", text)
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name given to the DOM, not an address to load


def test_the_policy_admits_only_the_own_script_and_style(page):
    policy = next(e["content"] for e in page.find("meta") if e.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not any("style" in e for e in page.elements)


def test_structure_for_readers_of_every_kind(page):
    ids = [e["id"] for e in page.elements if e.get("id")]
    assert len(ids) == len(set(ids))
    assert page.find("html")[0]["lang"] == "en"
    assert len(page.find("h1")) == 1
    assert {e["href"][1:] for e in page.find("a") if e["href"].startswith("#")} <= set(ids)
    assert {e["aria-labelledby"] for e in page.find("section")} <= set(ids)
    assert all(e.get("scope") for e in page.find("th"))
    assert len(page.find("caption")) == len(page.find("table"))
    outer = [e for e in page.find("svg") if "svg" not in e["path"]]
    assert all(e.get("aria-hidden") == "true" for e in outer)  # the numbers stand beside them as text
    assert all(e["tabindex"] == "0" for e in page.find(class_="scroll"))


OPTIONAL = sorted(fixtures.result().keys() - {"name", "file_bytes"})


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("missing", ["absent", "null"])
def test_any_optional_field_may_be_missing(name, missing):
    result = fixtures.result()
    if missing == "absent":
        del result[name]
    else:
        result[name] = None
    page = Page(render(result, fixtures.metrics(), fixtures.env(), fixtures.RECIPE))
    assert page.find("h1")[0]["text"]
    assert "None" not in page.find("main")[0]["text"].replace("None: every layer", "")


@pytest.mark.parametrize("name", [key for key in fixtures.layers()[0] if key != "name"])
def test_any_field_of_a_layer_may_be_missing(name):
    layers = [{k: v for k, v in one.items() if k != name} for one in fixtures.layers()]
    layers[0][name] = None
    page = Page(render(fixtures.result() | {"layers": layers}, [], {}, ""))
    assert len(page.below("chart-layers", "li")) == 20
    assert "None" not in page.find("main")[0]["text"]


def test_the_smallest_result_says_what_was_not_recorded():
    page = Page(render({"name": "r", "file_bytes": 10}, [], {}, ""))
    words = page.find("main")[0]["text"]
    for part in ["breakdown was", "layers were", "weight histogram was", "training was", "recipe was"]:
        assert f"No {part} recorded." in words
    assert "Nothing was recorded." in words
    assert "Not recorded." in words


def test_nan_is_shown_as_not_measured():
    page = render(fixtures.result() | {"bops": float("nan"), "engine": {"top1": float("inf")}}, [], {}, "")
    assert "nan" not in Page(page).find("main")[0]["text"].lower().replace("provenance", "")


def test_nothing_skipped_is_said():
    assert "every layer with weights was compressed" in render(fixtures.result() | {"skipped": []}, [], {}, "")


def test_a_file_that_grew_is_not_called_smaller():
    page = Page(render({"name": "r", "file_bytes": 20, "float": {"bytes": 10}}, [], {}, ""))
    assert "2.0×larger on disk" in page.find(class_="tiles")[0]["text"]
    assert "did not get smaller" in page.find("h1")[0]["text"]


def test_published_stands_apart(page):
    assert "Zhang et al." in page.find(id="published")[0]["text"]
    assert "90.20" not in page.find(id="table-before-after")[0]["text"]


def test_the_benchmark_speaks_for_itself(page):
    words = page.find("main")[0]["text"]
    assert "slower than openvino:int8 (0.89x)" in words
    assert "openvino:nncf was not measured: nncf is not installed" in words


def test_latency_of_an_unknown_form_is_listed():
    words = Page(render(fixtures.result() | {"latency": {"median": "3 ms"}}, [], {}, "")).find("main")[0]["text"]
    assert "3 ms" in words


@pytest.mark.parametrize(
    ("metrics", "plots"),
    [
        ([{"event": "epoch", "epoch": 0, "val_top1": 50.0}], 1),
        ([{"event": "epoch", "epoch": 0, "loss": 0.0, "val_top1": 0.0}], 2),
        ([{"event": "step", "loss": 1.0}, {"event": "step", "loss": 1.0}], 1),
    ],
)
def test_short_and_flat_curves(metrics, plots):
    page = Page(render({"name": "r", "file_bytes": 10}, metrics, {}, ""))
    assert len(page.find(class_="plot")) == plots


@pytest.mark.parametrize(
    ("edges", "cards"),
    [([0.0, 0.0, 1e-6], 0), ([0.0, 1e-320, 2e-320], 0), ([0.0, 1e-9, 3e-9], 1), ([-1e18, 0, 1e18], 1)],
)
def test_weights_too_alike_to_draw(edges, cards):
    layers = [fixtures.layers()[0] | {"histogram": {"edges": edges, "counts": [1, 2]}, "levels": [edges[0]]}]
    page = Page(render(fixtures.result() | {"layers": layers}, [], {}, ""))
    assert len(page.find(class_="card")) == cards
    assert not any("nan" in e["d"] for e in page.find("path"))


@pytest.mark.parametrize("losses", [(1e299, -1e299), (1e-320, 2e-320), (5.0, 5.0), (1e-7, 3e-7)])
def test_extreme_losses_are_drawn(losses):
    metrics = [{"event": "epoch", "epoch": i, "loss": loss} for i, loss in enumerate(losses)]
    page = Page(render({"name": "r", "file_bytes": 10}, metrics, {}, ""))
    assert not any("nan" in e["d"] for e in page.find("path"))
    assert [y for _, y, _, _ in json.loads(page.find(class_="plot")[0]["data-points"])] == pytest.approx(list(losses))


def test_wrong_types_are_refused_with_the_field():
    layers = fixtures.layers()
    layers[3]["packed_bytes"] = "much"
    with pytest.raises(DataError, match=r"result\.json: layers\.3\.packed_bytes: .*, got 'much'"):
        render(fixtures.result() | {"layers": layers}, [], {}, "")
    with pytest.raises(DataError, match="expected an object with the keys of a run, got list"):
        render([], [], {}, "")


def test_imports_without_torch():
    code = "import sys, kompakt.report; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_bits_that_differ_between_layers_are_a_range():
    """A recipe that lets layers learn their bits names only the most."""
    layers = fixtures.layers()
    assert "weights 2, activations 2, first and last 8" in render(fixtures.result(), [], {}, "")
    layers[2]["weight_bits"], layers[3]["activation_bits"] = 5, 4
    found = render(fixtures.result() | {"layers": layers}, [], {}, "")
    assert "weights 2 to 5, activations 2 to 4, first and last 8" in found
