"""The page in a real browser: it opens without a complaint, answers, and asks for nothing.

Debian's Chromium (`apt-get install chromium`) by way of playwright. Without it these are skipped.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
from page_names import HOSTILE

from bnfuse.page import report_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt: chromium)")

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
NORM = '#before [data-box="{}"]'


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as found:
        opened = found.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, tmp_path: Path):
    """Open a report at a size; its complaints and requests are held against the test."""
    pages, complaints = [], []

    def go(run: dict[str, Any], width: int = 1400, **context: Any):
        file = tmp_path / f"{len(pages)}.html"
        file.write_text(report_page(run), encoding="utf-8")
        page = browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: complaints.append(request.url))
        page.goto(file.as_uri())
        complaints.remove(file.as_uri())
        complaints[:] = [one for one in complaints if not one.startswith("data:")]
        pages.append(page)
        return page

    yield go
    for page in pages:
        page.context.close()
    assert complaints == []


def panel(page: Any) -> str:
    return str(page.inner_text("#panel"))


def focused(page: Any) -> str:
    return str(
        page.evaluate(
            "document.activeElement.id || document.activeElement.className || "
            "document.activeElement.textContent"
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_it_opens_at_every_width_and_nothing_reaches_beyond_it(run, opened, width, scheme):
    page = opened(run, width, color_scheme=scheme)
    assert page.title().startswith("net: PASS")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#before .box.folded").count() > 0
    visible = [page.locator(f"#{side}").is_visible() for side in ("before", "after")]
    assert visible == [True, width > 720]


def test_the_colours_of_its_words_stand_out_in_light_and_dark(run, opened):
    for scheme in ("light", "dark"):
        page = opened(run, color_scheme=scheme)
        ratios = page.evaluate(CONTRAST)
        assert ratios
        assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const of = (name) => light(getComputedStyle(document.body).getPropertyValue(`--${name}`));
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const pairs = ["ink", "dim", "accent", "good", "warn", "part", "took", "bad"]
    .flatMap((ink) => ["paper", "card"].map((paper) => [ink, paper]));
  pairs.push(...["good", "warn", "bad", "took", "part"].map((soft) => ["ink", `${soft}-soft`]));
  return Object.fromEntries(pairs.map(([a, b]) => [`${a} on ${b}`, ratio(of(a), of(b))]));
}"""


def test_the_search_finds_a_node_by_its_name_and_shows_it(run, opened):
    page = opened(run)
    page.fill("#search", "onerror")
    assert "2 nodes found" in page.inner_text("#hits")
    page.press("#search", "Enter")
    assert HOSTILE in panel(page)
    page.fill("#search", "nothing of that name")
    assert page.inner_text("#hits") == "nothing found"
    assert not page.locator("#results").is_visible()


def test_a_click_on_a_norm_tells_its_story_and_marks_what_took_it(run, opened):
    page = opened(run)
    first = run["folds"][0]
    page.locator("#before .box.folded").nth(2).click()
    told = panel(page)
    for words in (first["into"], "y[c] = s[c]", "W[o] ← s[o] · W[o]", "median", *first["nodes"]):
        assert words in told
    linked = page.locator("#after .box.linked")
    assert linked.count() == 1
    assert HOSTILE in (linked.text_content() or "")
    assert page.locator("#before .box.kin").count() == len(first["nodes"])


def test_a_click_on_what_took_a_norm_marks_the_norm(run, opened):
    page = opened(run)
    page.locator("#after .box.took").first.click()
    assert "It took 1 norm" in panel(page)
    assert page.locator("#before .box.linked.folded").count() == 4


def test_a_norm_that_is_left_says_why(run, opened):
    page = opened(run)
    page.get_by_role("button", name=run["folds"][-1]["name"], exact=True).first.click()
    assert "Stays because" in panel(page)
    assert "Sigmoid" in panel(page)


def test_arrow_keys_follow_the_data_and_are_told_aloud(run, opened):
    page = opened(run)
    view = page.locator("#before .view")
    view.focus()
    page.keyboard.press("Home")
    assert page.inner_text("#said") == "input x, no norm"
    page.keyboard.press("ArrowDown")
    assert HOSTILE in page.inner_text("#said")
    page.keyboard.press("ArrowDown")
    assert "norm, folded" in page.inner_text("#said")
    page.keyboard.press("n")
    assert run["folds"][1]["nodes"][0] in page.inner_text("#said")
    page.keyboard.press("p")
    assert "norm, folded" in page.inner_text("#said")
    page.keyboard.press("End")
    assert page.inner_text("#said").startswith("output ")
    page.keyboard.press("Enter")
    assert focused(page) == "panel"
    page.keyboard.press("Escape")
    assert focused(page) == "view"
    page.keyboard.press("/")
    assert focused(page) == "search"


def test_the_tab_key_goes_from_the_skip_link_through_everything_in_order(run, opened):
    page = opened(run)
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(focused(page))
    wanted = ["skip", "The net", "search", "view", "view", "Came from", "scroll tall"]
    wanted.remove("Came from")
    places = []
    for name in wanted:
        places.append(seen.index(name, places[-1] + 1 if places else 0))
    assert places == sorted(places)
    page.locator(".skip").focus()
    assert page.locator(".skip").bounding_box()["x"] >= 0
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"


def test_zooming_changes_the_size_of_the_drawing_and_stays_in_bounds(run, opened):
    page = opened(run)

    def width() -> float:
        return float(page.get_attribute("#before svg", "width"))

    before = width()
    page.get_by_role("button", name="Zoom in (before)").click()
    assert width() == pytest.approx(1.3 * before)
    page.locator("#before .view").focus()
    for _ in range(30):
        page.keyboard.press("-")
    assert 0 < width() < before


def test_the_channels_of_a_norm_are_plotted_named_and_tabled(run, opened):
    odd = copy.deepcopy(run)
    odd["folds"][1]["channels"]["scale"] = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    page = opened(odd)
    shown = page.inner_text("#channels")
    assert "channel 3 dead: scale 0" in shown
    plot = page.locator("#channels svg").first
    assert "8 channels" in plot.get_attribute("aria-label")
    assert "1 stands out" in plot.get_attribute("aria-label")
    page.locator("#channels summary").last.click()
    page.locator("#channels tbody tr").nth(7).wait_for()
    assert page.locator("#channels tbody tr").count() == 8


def test_on_a_phone_a_link_to_the_other_graph_brings_it_to_the_front(run, opened):
    page = opened(run, 360)
    page.locator("#panel").get_by_role("button", name=HOSTILE).click()
    assert page.locator("#after").is_visible()
    assert not page.locator("#before").is_visible()
    page.get_by_role("button", name="before", exact=True).click()
    assert page.locator("#before").is_visible()


def test_of_thousands_of_nodes_only_those_in_sight_are_drawn(run, opened):
    names = [f"node {n}" for n in range(3000)]
    nodes = [
        {"name": name, "op": "Relu", "module": "", "inputs": [f"v{n}"], "outputs": [f"v{n + 1}"]}
        for n, name in enumerate(names)
    ]
    graph = {"inputs": ["v0"], "outputs": ["v3000"], "nodes": nodes}
    page = opened({**run, "graph": {"before": graph, "after": graph}, "folds": []})
    assert page.locator("#before .box").count() < 40
    page.fill("#search", "node 2999")
    page.press("#search", "Enter")
    page.locator("#before .box.chosen").wait_for()
    assert "node 2999" in page.locator("#before .box.chosen").text_content()
    assert page.locator("#before .box").count() < 40


def test_without_its_script_the_rest_can_be_read(run, opened):
    page = opened(run, java_script_enabled=False)
    assert "PASS" in page.inner_text("header")
    assert "allowed up to" in page.inner_text("#error")
    assert "folded" in page.inner_text("#norms")
    assert "needs the page’s own script" in page.inner_text("#net")
    assert not page.locator(".board").is_visible()


def test_a_net_without_a_norm_or_a_node_opens_too(run, opened):
    graph = {"inputs": [], "outputs": [], "nodes": []}
    page = opened({**run, "graph": {"before": graph, "after": graph}, "folds": []})
    assert "The net has no norm." in page.inner_text("#norms")
    page.locator("#before .view").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("0")
