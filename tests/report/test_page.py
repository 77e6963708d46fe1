"""The page of all figures: in a browser, offline, at any width, whatever the texts of a run are."""

import re
from pathlib import Path

import pytest

from helpers import hostile
from helpers.checkout import ROOT
from helpers.chromium import needs_chromium, open_browser, open_page
from helpers.report import make_rollouts, make_run
from helpers.steps import make_steps
from searchtrain.core.errors import InputError
from searchtrain.report.contents import tell_run
from searchtrain.report.page import LIBRARY, Page
from searchtrain.report.scores import tabulate_scores
from searchtrain.workflow.adapter import find_library

TEMPLATE = ROOT / "report/page.html.jinja"
HOSTILE = "".join(text for name, text in hostile.TEXTS.items() if name != "long_line")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of a run whose domain, type, and model's name are hostile."""
    rollouts = make_rollouts()
    for rollout, text in zip(rollouts, hostile.TEXTS.values(), strict=False):
        rollout["lineage"] = {**rollout["lineage"], "model": text}
    label = hostile.IMAGE + hostile.CLOSING
    run = make_run(rollouts, label=label, history=make_steps(30))
    topics = tell_run(run)
    file = tmp_path_factory.mktemp("page") / "overview.html"
    about = HOSTILE + hostile.LONG_LINE
    text = Page(TEMPLATE, Path(find_library())).render("All", about, topics, tabulate_scores(run))
    file.write_text(text, encoding="utf-8")
    return file


@needs_chromium
def test_the_page_is_drawn_without_faults_at_any_width_in_light_and_dark(page):
    with open_browser() as browser:
        for width, dark in ((390, False), (390, True), (1440, False), (1440, True)):
            with open_page(browser, page.as_uri(), width=width, dark=dark) as looks:
                looks.page.wait_for_function("document.body.dataset.drawn", timeout=60_000)
                assert (looks.faults, looks.outside) == ([], [])
                assert not looks.is_wide()
                look_at(looks.page, dark)


def look_at(page, dark):
    """What is asked of the page at every width."""
    assert page.title() == "All" and page.evaluate("window.owned") is None
    charts = page.locator("[data-chart]")
    assert charts.count() == page.locator("[data-chart] svg").count() > 15
    assert hostile.SCRIPT in page.locator(".about").inner_text()
    assert hostile.IMAGE[:12] in page.locator("[data-chart] svg").all_text_contents()[2]
    assert page.locator("nav li").count() == page.locator("h2").count() == 10
    assert page.evaluate("document.body.dataset.drawn") == ("dark" if dark else "light")
    shades = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (sum(map(int, shades[:3])) < 150) == dark
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, td, svg text')]"
        ".map((each) => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(sizes) >= 11


def test_the_page_needs_nothing_else(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["']?(?!#)[^"' >]*[:/]""", text.partition("<body>")[0])
    assert "default-src 'none'" in text and text.count('id="library"') == 1
    assert "<script>document.title" not in text


def test_a_folder_without_the_library_is_an_error(tmp_path):
    with pytest.raises(InputError, match=re.escape(LIBRARY[0])):
        Page(TEMPLATE, tmp_path)
