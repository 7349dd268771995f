"""The page in a real browser: no complaint, every chart drawn, no sideways scrolling, all of it usable by keyboard."""

import pytest
from tests.report import fixtures
from tests.report.browser import Browser, find

from kompakt.report import render, write

pytestmark = [
    pytest.mark.skipif(find() is None, reason="no Chromium found; install the package `chromium`"),
    pytest.mark.timeout(90),
]


@pytest.fixture(scope="module")
def browser():
    with Browser(find()) as started:
        yield started


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return write(fixtures.run_folder(tmp_path_factory.mktemp("full") / "run"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    path = tmp_path_factory.mktemp("bare") / "page.html"
    path.write_text(render({"name": "r", "file_bytes": 10}, [], {}, ""), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Long unbroken names, and names that try to run."""
    layers = fixtures.layers()
    layers[1]["name"] = "a" * 300
    layers[2]["name"] = "<img src=x onerror=\"document.title='owned'\">"
    changes = {"layers": layers, "model": "m" * 300, "published": {"value": 1.0, "source": "s" * 400},
               "skipped": [{"name": "n" * 200, "reason": "r" * 200}]}  # fmt: skip
    page = tmp_path_factory.mktemp("hostile") / "page.html"
    env, recipe = {"k" * 200: "v" * 300}, "</script><script>document.title='owned'</script>" + "x" * 500
    page.write_text(render(fixtures.result() | changes, fixtures.metrics(), env, recipe), encoding="utf-8")
    return page


@pytest.fixture(params=["full", "bare", "hostile"])
def page(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_complaint_and_no_sideways_scrolling(browser, page, width, dark):
    browser.open(page, width, dark)
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    outside = """[...document.querySelectorAll("main *, header *")]
        .filter(e => !e.closest(".scroll, pre, svg, .unseen") && e.getBoundingClientRect().right > innerWidth + 0.5)
        .map(e => e.outerHTML.slice(0, 80))"""
    assert browser.evaluate(outside) == []
    assert browser.evaluate("document.title") != "owned"
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [360, 1280])
def test_a_long_name_leaves_room_for_the_other_columns(browser, hostile, width):
    browser.open(hostile, width)
    shares = browser.evaluate("""[...document.querySelectorAll(".scroll > table:not(.roomy)")].filter(
        table => table.checkVisibility()).map(table =>
        table.tBodies[0].rows[0].cells[0].offsetWidth / table.parentElement.clientWidth)""")
    assert len(shares) >= 3
    assert max(shares) < 0.6


DRAWN = """(selector) => [...document.querySelectorAll(selector)].map(e => e.getBBox ? e.getBBox() : null)
    .filter(box => box && box.width > 0 && box.height > 0).length"""


@pytest.mark.parametrize("width", [360, 1280])
def test_every_chart_is_drawn(browser, full, width):
    browser.open(full, width)
    for selector, count in [
        ("#chart-size rect:not(.track)", 2),
        ("#chart-sections rect", 7),
        ("#chart-layers .bar rect:not(.track)", 40),
        ("#chart-layers .weight-on", 20),
        ("#chart-layers .activation-on", 20),
        ("#chart-latency rect:not(.track)", 4),
        ("#chart-levels .weights", 20),
        ("#detail .weights", 1),
        (".plot .line", 2),
    ]:
        assert browser.evaluate(f"({DRAWN})({selector!r})") == count, selector
    sizes = browser.evaluate(
        "[...document.querySelectorAll('.plot .canvas')].map(e => e.getBoundingClientRect().width)"
    )
    assert all(size > 0.6 * min(width, 900) for size in sizes)


@pytest.mark.parametrize("width", [360, 561, 861, 1280])
def test_labels_of_a_chart_do_not_overlap(browser, full, width):
    browser.open(full, width)
    boxes = browser.evaluate("""[...document.querySelectorAll(".plot, #detail")].map(plot =>
        [...plot.querySelectorAll("text")].filter(text => text.checkVisibility()).map(text => {
            const box = text.getBoundingClientRect();
            return [box.left, box.top, box.right, box.bottom, text.textContent];
        }))""")
    assert all(len(texts) > 2 for texts in boxes)
    for texts in boxes:
        for i, a in enumerate(texts):
            for b in texts[i + 1 :]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 1 or b[3] <= a[1] + 1, (a, b)


def first_cells(browser):
    return browser.evaluate("[...document.querySelectorAll('#table-layers tbody tr')].map(r => r.cells[0].textContent)")


def test_the_table_sorts_by_keyboard(browser, full):
    browser.open(full, 1280)
    original = first_cells(browser)
    browser.evaluate("document.querySelectorAll('#table-layers th button')[10].focus()")
    browser.press("Enter")
    assert browser.evaluate("document.querySelectorAll('#table-layers thead th')[10].ariaSort") == "descending"
    values = browser.evaluate(
        "[...document.querySelectorAll('#table-layers tbody tr')].map(r => +r.cells[10].dataset.v)"
    )
    assert values == sorted(values, reverse=True)
    browser.press("Enter")
    values = browser.evaluate(
        "[...document.querySelectorAll('#table-layers tbody tr')].map(r => +r.cells[10].dataset.v)"
    )
    assert values == sorted(values)
    browser.evaluate("document.querySelectorAll('#table-layers th button')[1].click()")
    browser.evaluate("document.querySelectorAll('#table-layers th button')[1].click()")
    assert first_cells(browser) == original


def test_unmeasured_cells_sort_last(browser, tmp_path):
    layers = fixtures.layers()
    layers[0]["macs"] = None
    page = tmp_path / "page.html"
    page.write_text(render(fixtures.result() | {"layers": layers}, [], {}, ""), encoding="utf-8")
    browser.open(page, 1280)
    for _ in range(2):
        browser.evaluate("document.querySelectorAll('#table-layers th button')[5].click()")
        assert first_cells(browser)[-1] == "conv1"


def test_the_chart_reorders(browser, full):
    browser.open(full, 1280)
    browser.evaluate("document.querySelector('[data-sort=bytes]').click()")
    shown = browser.evaluate("[...document.querySelectorAll('#chart-layers li')].map(e => +e.dataset.bytes)")
    assert shown == sorted(shown, reverse=True)
    assert browser.evaluate("document.querySelector('[data-sort=bytes]').ariaPressed") == "true"
    browser.evaluate("document.querySelector('[data-sort=index]').click()")
    assert browser.evaluate("document.querySelector('#chart-layers .name').textContent") == "conv1"


def test_a_layer_is_selected_by_keyboard(browser, full):
    browser.open(full, 1280)
    title = "document.querySelector('#detail .title').textContent"
    assert browser.evaluate(title) == "layer1.0.conv1"
    browser.evaluate("document.querySelector('.card').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    assert browser.evaluate(title) == "layer1.0.conv2"
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    browser.press("Enter")
    assert browser.evaluate(title) == "conv1"
    assert browser.evaluate("document.querySelectorAll('.card[aria-pressed=true]').length") == 1


def test_a_plot_is_read_by_keyboard(browser, full):
    browser.open(full, 1280)
    readout = "document.querySelector('.readout').textContent"
    browser.evaluate("document.querySelector('.plot').focus()")
    assert browser.evaluate(readout) == "epoch 60: 90.37 %"
    browser.press("ArrowLeft")
    assert browser.evaluate(readout).startswith("epoch 59: ")
    browser.press("Home")
    assert browser.evaluate(readout).startswith("epoch 1: ")
    browser.evaluate("document.activeElement.blur()")
    assert browser.evaluate(readout).strip() == ""


def test_tab_reaches_the_skip_link_first_and_it_is_seen(browser, full):
    browser.open(full, 1280)
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0


def test_the_theme_follows_the_system_and_can_be_changed(browser, full):
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.open(full, 1280, dark=True)
    dark = browser.evaluate(ground)
    browser.evaluate("document.getElementById('theme').click()")
    light = browser.evaluate(ground)
    assert dark != light
    assert browser.evaluate("document.getElementById('theme').textContent") == "Dark theme"
    browser.open(full, 1280)
    assert browser.evaluate(ground) == light


def test_the_policy_stops_an_injected_script(browser, full, tmp_path):
    page = tmp_path / "page.html"
    injected = "<script>document.title='owned'</script></body>"
    page.write_text(full.read_text(encoding="utf-8").replace("</body>", injected), encoding="utf-8")
    browser.open(page, 1280)
    assert browser.evaluate("document.title") != "owned"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints())
