"""The site in a real browser, from files."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import WIDTHS, axe, choose, look, quiet, running, until, visit
from made_records import like, record, scored

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.records.files import read_records
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.report.site import build, write
from sr_ptq_bench.tables.published_scores import read_published

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

HOSTILE = '<img src=x onerror="document.title=1">'
PSNR, LESS_FP, LESS_OTHER = 2, 7, 8  # the columns
RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"


def many() -> list[Any]:
    made = []
    for scale in (2, 4):
        for bits in ("4", "2"):
            for index, method in enumerate(("minmax", "dobi", "dobi+dqc", "percentile")):
                figures = {"losses": tuple(1 / (step + 1) for step in range(40))} if "dqc" in method else {}
                made.append(record(method, 30.0 + index + int(bits), bits, scale=scale, figures=figures))
    names = (HOSTILE, "Set5")
    scores = scored(31.0, names=names)
    references = {name: like(scores, 33.0) for name in ("fp", "bicubic", "bilinear")}
    return [*made, record("minmax", suite="other", scores=scores, references=references)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write(build(many(), [], "srq report"), folder)
    return folder


@pytest.fixture
def board(driver: Any, site: Path) -> Iterator[Any]:
    """The first page; afterwards no error was said, and nothing was asked for outside of the site."""
    look(driver, WIDTHS["desk"])
    with quiet(driver, site):
        visit(driver, (site / "index.html").as_uri())
        yield driver
        assert driver.title == "PTQ of super-resolution: leaderboard"


def cells(driver: Any, column: int) -> list[str]:
    """What is shown in a column."""
    script = "return [...document.querySelectorAll('#board tbody tr')].map(row => row.cells[arguments[0]]?.innerText)"
    return driver.execute_script(script, column)


def address(driver: Any) -> str:
    return urlsplit(driver.current_url).fragment


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def test_a_head_sorts_and_the_address_says_so(board):
    head = board.find_elements("css selector", "#board thead th")[PSNR]
    head.click()
    until(board, lambda: address(board) == f"sort={PSNR}-asc")
    first = [float(cell) for cell in cells(board, PSNR)]
    head.click()
    until(board, lambda: address(board) == f"sort={PSNR}-desc")
    second = [float(cell) for cell in cells(board, PSNR)]
    assert (first, second) == (sorted(first), sorted(second, reverse=True))
    assert first != second


def test_a_filter_leaves_what_fits_and_the_address_says_so(board):
    choose(board, "scale", "x4")
    choose(board, "bits", "2/2")
    assert set(cells(board, 5)) == {"x4"}
    assert set(cells(board, 1)) == {"2/2"}
    assert len(cells(board, 0)) == 4
    assert board.find_element("id", "found").text.startswith("4 of ")
    assert sorted(address(board).split("&")) == ["bits=2%2F2", "scale=x4"]


def test_a_part_of_a_name(board):
    board.find_element("name", "method").send_keys("DQC")
    assert len(cells(board, 0)) == 4
    assert all(cell.startswith("dobi+dqc") for cell in cells(board, 0))


def test_an_address_gives_its_state_back(board, site):
    visit(board, f"{(site / 'index.html').as_uri()}#scale=x2&bits=4%2F4&method=dobi&sort={PSNR}-asc")
    until(board, lambda: [cell.split()[0] for cell in cells(board, 0)] == ["dobi", "dobi+dqc"])
    assert board.find_element("name", "bits").get_attribute("value") == "4/4"


def test_an_address_of_a_row_marks_it_and_brings_it_into_view(board, site):
    line = board.find_elements("css selector", "#board tbody tr")[-1].get_attribute("id")
    visit(board, f"{(site / 'index.html').as_uri()}#{line}")
    row = board.find_element("css selector", "#board tr.target")
    assert row.get_attribute("id") == line
    until(board, lambda: board.execute_script("return document.activeElement === arguments[0]", row))
    top = board.execute_script("return arguments[0].getBoundingClientRect().top", row)
    assert 0 <= top < 900


@pytest.mark.parametrize("after", ["sort=99-asc", "sort=x", "scale=%E0%A4%A", "nothing", "=&&=", "bits=", "sort=2-up"])
def test_a_broken_address_is_no_error(board, site, after):
    visit(board, f"{(site / 'index.html').as_uri()}#{after}")
    assert board.find_element("id", "choice").is_displayed()


def test_with_the_keyboard_alone(board):
    from selenium.webdriver.common.keys import Keys

    board.find_element("tag name", "body").click()
    board.execute_script("document.querySelector('#board thead th').focus()")
    for _ in range(60):
        press(board, Keys.TAB)
        text = board.execute_script("return document.activeElement.closest('th')?.innerText || ''")
        if text.startswith("PSNR"):
            break
    press(board, Keys.ENTER)
    until(board, lambda: address(board) == f"sort={PSNR}-asc")
    board.find_element("name", "scale").send_keys("x4")
    until(board, lambda: "scale=x4" in address(board))


def test_names_are_shown_as_they_are(board):
    assert HOSTILE in cells(board, 6)
    choose(board, "test", HOSTILE)
    assert set(cells(board, 6)) == {HOSTILE}
    assert board.execute_script("return document.querySelectorAll('#board img, form img').length") == 0


def test_a_filter_by_the_scope_all_is_not_taken_for_none(driver, tmp_path):
    every = {"short": "all", "description": "all layers"}
    write(build([record("minmax"), record("dobi", scope=every)], [], "srq report"), tmp_path)
    visit(driver, (tmp_path / "index.html").as_uri())
    texts = [option.text for option in driver.find_elements("css selector", "[name=scope] option")]
    assert sorted(texts) == sorted(set(texts))
    choose(driver, "scope", "all")
    assert [cell.split()[0] for cell in cells(driver, 0)] == ["dobi"]


def test_a_long_name_in_a_legend_is_within_the_figure_and_beside_its_line(driver, tmp_path):
    write(build([record("a_name_without_any_break" * 4), record("dobi", 31.0)], [], "srq report"), tmp_path)
    visit(driver, (tmp_path / "sample/swinir-light-x2.html").as_uri())
    (figure, *_) = driver.find_elements("css selector", "figure svg")
    texts = figure.find_elements("css selector", "text")
    parts = [text.rect for text in texts if text.text and text.text in "a_name_without_any_break" * 4]
    (short,) = [text.rect for text in texts if text.text == "dobi"]
    assert len(parts) > 1
    assert all(abs(part["x"] - short["x"]) < 2 for part in parts)
    assert max(part["x"] + part["width"] for part in parts) <= figure.rect["x"] + figure.rect["width"]


def test_numbers_are_sorted_from_infinite_to_not_known(driver, tmp_path):
    methods = {"mse": math.inf, "minmax": 30.0, "dobi": 20.0}
    write(build([record(name, psnr) for name, psnr in methods.items()], [], "srq report"), tmp_path)
    page = (tmp_path / "index.html").as_uri()
    visit(driver, f"{page}#kind=measured&sort={LESS_FP}-desc")
    assert cells(driver, LESS_FP) == ["+inf", "-8.15", "-18.15"]
    visit(driver, f"{page}#kind=measured&sort={LESS_OTHER}-desc")
    assert cells(driver, LESS_OTHER) == ["+inf", "-inf", "-inf"]
    visit(driver, f"{page}#sort={LESS_OTHER}-asc")
    assert cells(driver, LESS_OTHER) == ["–", "–", "–", "-inf", "-inf", "+inf"]


def test_a_record_is_one_click_away(board):
    board.find_element("name", "method").send_keys("percentile")
    board.find_element("css selector", "#board tbody th a").click()
    section = board.find_element("css selector", "section:target")
    assert "srq run --suite sample --model swinir-light --method percentile" in section.text
    assert "percentile-w4a4-x2-s0-" in section.text
    board.back()
    until(board, lambda: "method=percentile" in address(board))


@pytest.mark.parametrize("page", ["index.html", "sample/swinir-light-x2.html"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_no_violation_of_axe_and_nothing_wider_than_the_window(driver, site, page, dark, width):
    rules = axe()
    look(driver, width, dark=dark)
    visit(driver, (site / page).as_uri())
    driver.execute_script("document.querySelectorAll('details').forEach(of => of.open = true)")
    driver.execute_script(rules)
    found = driver.execute_async_script("axe.run().then(of => arguments[0](of.violations))")
    assert [(of["id"], of["nodes"][0]["html"]) for of in found] == []
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_without_javascript_all_rows_are_a_plain_table(site):
    with running(javascript=False) as driver:
        visit(driver, (site / "index.html").as_uri(), javascript=False)
        rows = driver.find_elements("css selector", "#board tbody tr")
        assert len(rows) == (3 + 8) * 2 + (3 + 1) * 2
        assert rows[-1].is_displayed()
        assert not driver.find_element("id", "choice").is_displayed()


def thousand() -> list[Any]:
    """Ten copies of a hundred committed records, each with an option of its own and losses of 600 steps."""
    real = random.Random(0).sample(read_records(RESULTS / "sample"), 100)
    return [copied(each, copy) for copy in range(10) for each in real]


def copied(real: Record, copy: int) -> Record:
    figures = dict(real.figures)
    if isinstance(losses := figures.get("losses"), tuple):
        noise = random.Random(f"{real.key} {copy}")
        figures["losses"] = tuple(losses[step % len(losses)] * noise.uniform(0.9, 1.1) for step in range(600))
    first = real.spec.parts[0]
    options = real.spec.options | {first: real.spec.options.get(first, {}) | ({"copy": copy} if copy else {})}
    spec = real.spec.model_copy(update={"options": options})
    return real.model_copy(update={"spec": spec, "figures": figures})


def test_a_thousand_records_are_small_and_can_be_filtered(driver, tmp_path):
    """With `pytest -s` it also says how long the page's own thread needs; a slow machine fails no test."""
    site = build(thousand(), read_published(RESULTS.parent / "published.csv"), "srq report")
    size = sum(len(text.encode()) for text in site.values())
    assert size <= 3_000_000
    write(site, tmp_path)
    look(driver, WIDTHS["desk"])
    ready = _seconds_until_ready(driver, tmp_path)
    start = time.perf_counter()
    driver.find_element("name", "method").send_keys("copy=3")
    assert all("copy=3" in cell for cell in cells(driver, 0))
    assert driver.find_element("id", "found").text.startswith("100 of ")
    filtered = time.perf_counter() - start
    print(f"{size:,} bytes, ready after {ready:.2f} s, filtered after {filtered:.2f} s")


def test_the_next_page_begins_at_its_top(driver, tmp_path):
    """The buttons stand below the rows: without that the eye is at the last row of another page."""
    write(build(thousand(), [], "srq report"), tmp_path)
    look(driver, WIDTHS["desk"])
    visit(driver, (tmp_path / "index.html").as_uri())
    first = cells(driver, 0)[0]
    button = driver.find_element("css selector", "button.page-link.next, .dt-paging-button.next")
    driver.execute_script("arguments[0].scrollIntoView(); arguments[0].click()", button)
    assert cells(driver, 0)[0] != first
    top = driver.execute_script("return document.getElementById('board').getBoundingClientRect().top")
    assert abs(top) < driver.execute_script("return window.innerHeight") / 2


def _seconds_until_ready(driver: Any, site: Path) -> float:
    """Of the page's own thread on a processor: other processes do not count."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    visit(driver, (site / "index.html").as_uri())
    found = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    driver.execute_cdp_cmd("Performance.disable", {})
    return next(each["value"] for each in found if each["name"] == "TaskDuration")
