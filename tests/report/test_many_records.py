"""A site of a thousand records: its size, and how it feels in a real browser."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from browser import WIDTHS, cells, look, visit

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.records.files import read_records
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.report.site import build, write
from sr_ptq_bench.tables.published_scores import read_published

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"


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
