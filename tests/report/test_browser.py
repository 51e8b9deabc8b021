"""The site in a real browser, from files."""

from __future__ import annotations

import math

import pytest
from browser import HOSTILE, WIDTHS, address, axe, cells, choose, look, press, running, until, visit
from made_records import record

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.report.site import build, write

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

PSNR, LESS_FP, LESS_OTHER = 2, 7, 8  # the columns


def test_a_part_of_a_name(board):
    board.find_element("name", "method").send_keys("DQC")
    assert len(cells(board, 0)) == 4
    assert all(cell.startswith("dobi+dqc") for cell in cells(board, 0))


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


def test_the_software_of_a_record_is_shown_by_its_link(driver, site):
    """A browser opens what is closed around the place of an address."""
    visit(driver, (site / "sample/swinir-light-x2.html").as_uri())
    link = driver.find_element("css selector", "#records section a[href^='#s']")
    software = driver.find_element("id", link.get_attribute("href").partition("#")[2])
    assert not software.is_displayed()
    driver.execute_script("arguments[0].click()", link)
    until(driver, software.is_displayed)
    assert "threads" in software.text


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
