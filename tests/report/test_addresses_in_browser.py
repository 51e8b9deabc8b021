"""Every state of the board has an address, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from browser import WIDTHS, address, cells, choose, look, press, until, visit
from made_records import record

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.report.site import build, write

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

PSNR, SCALE = 2, 5  # the columns


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


@pytest.fixture
def long(driver: Any, tmp_path: Any) -> Any:
    """A board of three pages."""
    records = [record("minmax", psnr=20 + copy / 10, options={"minmax": {"copy": copy}}) for copy in range(117)]
    write(build(records, [], "srq report"), tmp_path)
    look(driver, WIDTHS["desk"])
    visit(driver, (tmp_path / "index.html").as_uri())
    return driver


def test_a_page_of_the_board_and_its_length_have_an_address(long):
    first = cells(long, 0)
    click(long, ".dt-paging-button.next")
    until(long, lambda: address(long) == "page=2")
    second = cells(long, 0)
    assert second[0] not in first
    long.refresh()
    until(long, lambda: cells(long, 0) == second)
    choose_rows(long, "200")
    until(long, lambda: address(long) == "rows=200")
    long.refresh()
    until(long, lambda: len(cells(long, 0)) == 120)


def test_sorting_by_two_columns_has_an_address(board):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    heads = board.find_elements("css selector", "#board thead th")
    heads[SCALE].click()
    ActionChains(board).key_down(Keys.SHIFT).click(heads[PSNR]).key_up(Keys.SHIFT).perform()
    until(board, lambda: address(board) == f"sort={SCALE}-asc,{PSNR}-asc")
    shown = cells(board, 0)
    board.refresh()
    until(board, lambda: cells(board, 0) == shown)
    assert address(board) == f"sort={SCALE}-asc,{PSNR}-asc"


@pytest.mark.parametrize("after", ["page=0", "page=99", "page=-1", "page=x", "rows=7", "page=1.5&rows=-1"])
def test_a_page_that_is_not_there_is_the_first(long, after):
    first = cells(long, 0)
    visit(long, f"{long.current_url.partition('#')[0]}#{after}")
    assert cells(long, 0)[: len(first)] == first


def test_the_link_to_the_content_keeps_the_state(board, site):
    state = f"scale=x4&sort={PSNR}-desc"
    visit(board, f"{(site / 'index.html').as_uri()}#{state}")
    shown = cells(board, 0)
    board.find_element("tag name", "body").click()
    board.execute_script("document.querySelector('a.skip').focus()")
    press(board, "\ue007")
    until(board, lambda: address(board) == state)
    assert cells(board, 0) == shown
    assert set(cells(board, SCALE)) == {"x4"}


def test_a_row_that_is_not_there_is_said(board, site):
    visit(board, f"{(site / 'index.html').as_uri()}#rdeadbeef00")
    assert "the row of this address is not among them" in board.find_element("id", "found").text


def click(driver: Any, selector: str) -> None:
    driver.execute_script("arguments[0].click()", driver.find_element("css selector", selector))


def choose_rows(driver: Any, text: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("css selector", ".dt-length select")).select_by_visible_text(text)
