"""The pages of images and sites in a real browser, from files."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from browser import WIDTHS, axe, choose, look, quiet, running, until, visit
from made_gallery import HEIGHT, TABLE, WIDTH, gallery, records

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.report.site import build, write

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

HOSTILE = '"><img src=x onerror="document.title=1">'
CORNER = 6
"""Pixels of the round corners of the frame."""
IMAGE = f"{TABLE}/photos-1-0123abcd.html"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    of = records(("one", HOSTILE), options={"minmax": {"word": HOSTILE}})
    write(build(of, [], "srq report --images", {TABLE: gallery(of, folder, HOSTILE)}), folder)
    return folder


@pytest.fixture
def page(driver: Any, site: Path) -> Iterator[Any]:
    """The page of the hostile image; afterwards no error was said, and nothing was asked for outside of the site."""
    look(driver, WIDTHS["desk"])
    with quiet(driver, site):
        visit(driver, (site / IMAGE).as_uri())
        yield driver
        assert driver.title.startswith('"><img')


def named(page: Any, name: str) -> Any:
    return page.find_element("name", name)


def measure(page: Any, script: str) -> Any:
    return page.execute_script(f"const p = document.querySelector('.pane'); return {script}")


def stack(page: Any) -> np.ndarray:
    """What is seen of the pictures: (H, W, 3)."""
    shot = page.find_element("css selector", ".stack").screenshot_as_base64
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB"))


def loaded(page: Any) -> None:
    until(
        page, lambda: page.execute_script("return [...document.querySelectorAll('.stack img')].every(i => i.complete)")
    )


def test_the_divider_moves_by_the_keyboard_and_shows_both_pictures(page, site):
    from selenium.webdriver.common.keys import Keys

    choose(page, "left", "FP 32/32")
    choose(page, "right", "HR")
    choose(page, "zoom", "1×")
    slider = named(page, "split")
    slider.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 50)
    assert slider.get_attribute("value") == "25"
    loaded(page)
    seen, hr = stack(page), np.asarray(PIL.Image.open(site / TABLE / "photos-1-0123abcd/hr.png"))
    assert seen.shape == (HEIGHT, WIDTH, 3)
    seen, hr = seen[CORNER:-CORNER, :-CORNER], hr[CORNER:-CORNER, :-CORNER]
    quarter = WIDTH // 4
    assert np.array_equal(seen[:, quarter + 3 :], hr[:, quarter + 3 :])
    assert np.array_equal(seen[:, CORNER : quarter - 3], hr[:, CORNER : quarter - 3] + 16)  # as the gallery was made
    until(page, lambda: "split=25" in page.current_url)


def test_the_error_map_is_eight_times_the_difference(page):
    choose(page, "left", "bicubic (MATLAB)")
    choose(page, "right", "HR")
    choose(page, "zoom", "1×")
    named(page, "error").click()
    loaded(page)
    seen = stack(page)[CORNER:-CORNER, CORNER:-CORNER]
    assert np.array_equal(np.unique(seen[:, : WIDTH // 2 - 3 - CORNER]), [64])  # the gallery adds 8
    assert np.array_equal(np.unique(seen[:, WIDTH // 2 + 3 :]), [0])


def test_zoom_keeps_the_place_and_the_address_holds_it(page, site):
    visit(page, (site / IMAGE).as_uri() + "#viewer&zoom=8&x=80&y=60&left=hr&right=fp")
    assert measure(page, "p.scrollWidth") == 8 * WIDTH
    until(page, lambda: abs(measure(page, "(p.scrollLeft + p.clientWidth / 2) / 8") - 80) < 1)
    pane = page.find_element("css selector", ".pane")
    pane.send_keys("+")
    assert named(page, "zoom").get_attribute("value") == "16"
    middle = measure(page, "[(p.scrollLeft + p.clientWidth / 2) / 16, (p.scrollTop + p.clientHeight / 2) / 16]")
    assert middle == pytest.approx([80, 60], abs=1)
    until(page, lambda: "zoom=16" in page.current_url)
    told = page.current_url
    visit(page, told)
    again = measure(page, "[(p.scrollLeft + p.clientWidth / 2) / 16, (p.scrollTop + p.clientHeight / 2) / 16]")
    assert again == pytest.approx(middle, abs=1)


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_small_image_is_enlarged_by_a_whole_factor(page, width):
    look(page, width)
    choose(page, "zoom", "1×")
    choose(page, "zoom", "fit")
    shown = measure(page, "p.querySelector('.stack').getBoundingClientRect().width")
    assert shown % WIDTH == 0
    assert shown >= WIDTH


def test_both_pictures_have_one_place_and_size(page):
    choose(page, "zoom", "8×")
    measure(page, "p.scrollTo(300, 200)")
    places = page.execute_script(
        "const all = [...document.querySelectorAll('.stack img:not([hidden])')];"
        "return all.map(i => JSON.stringify(i.getBoundingClientRect()))"
    )
    assert len(places) == 2
    assert len(set(places)) == 1


def test_the_picture_is_dragged_by_the_mouse(page):
    from selenium.webdriver.common.action_chains import ActionChains

    choose(page, "zoom", "16×")
    measure(page, "p.scrollTo(300, 200)")
    pane = page.find_element("css selector", ".pane")
    ActionChains(page).move_to_element(pane).click_and_hold().move_by_offset(-40, -30).release().perform()
    until(page, lambda: measure(page, "[p.scrollLeft, p.scrollTop]") == pytest.approx([340, 230], abs=2))


def test_the_pane_scrolls_by_the_arrow_keys(page):
    from selenium.webdriver.common.keys import Keys

    choose(page, "zoom", "16×")
    before = measure(page, "p.scrollLeft")
    page.find_element("css selector", ".pane").send_keys(Keys.ARROW_RIGHT)
    until(page, lambda: measure(page, "p.scrollLeft") > before)


def test_a_crop_leads_to_its_place_in_the_viewer(page):
    page.find_element("css selector", ".crops a[href*='left=000000000001']").click()
    until(page, lambda: named(page, "left").get_attribute("value") == "000000000001")
    until(page, lambda: named(page, "zoom").get_attribute("value") == "4")


@pytest.mark.parametrize("after", ["viewer&zoom=99&left=nobody&x=NaN&split=x", "%E0%A4%A", "=&&=", "x=1e999&y=-5"])
def test_a_broken_address_is_no_error(page, site, after):
    visit(page, f"{(site / IMAGE).as_uri()}#{after}")
    loaded(page)
    assert named(page, "zoom").get_attribute("value") == "fit"
    assert stack(page).shape[1] > 0


def test_names_are_shown_as_they_are(page):
    assert page.find_element("tag name", "h1").text == HOSTILE
    assert page.execute_script("return document.querySelectorAll('#main img:not([src^=photos-])').length") == 0


@pytest.mark.parametrize("name", [IMAGE, f"{TABLE}/sites-w4a4.html"], ids=["image", "sites"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_no_violation_of_axe_and_nothing_wider_than_the_window(driver, site, name, dark, width):
    rules = axe()
    look(driver, width, dark=dark)
    visit(driver, (site / name).as_uri())
    driver.execute_script(rules)
    found = driver.execute_async_script("axe.run().then(of => arguments[0](of.violations))")
    assert [(of["id"], of["nodes"][0]["html"]) for of in found] == []
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_without_javascript_pictures_and_tables_are_there(site):
    with running(javascript=False) as driver:
        visit(driver, (site / IMAGE).as_uri())
        assert not driver.find_element("tag name", "form").is_displayed()
        shown = [of for of in driver.find_elements("css selector", ".pane img") if of.is_displayed()]
        assert [of.get_attribute("alt") for of in shown] == ["HR"]
        assert driver.find_element("css selector", ".crops img").is_displayed()
        assert len(driver.find_elements("css selector", "#scores tbody tr")) == 3 + 4
