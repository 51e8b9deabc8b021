"""A headless Chromium, if it is installed, and the rules of axe-core."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

WIDTHS = {"phone": 390, "tablet": 768, "desk": 1280}
HOSTILE = '<img src=x onerror="document.title=1">'
"""A name that would be script, if a page did not write it as text."""
AXE = "SRQ_TEST_AXE"
"""The environment variable that names axe.min.js of the npm package axe-core."""


@contextmanager
def running(*, javascript: bool = True) -> Iterator[Any]:
    """A driver; the test is skipped by name where selenium, Chromium or its driver is missing."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    chromium, program = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and program):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(word)
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program))
    driver.implicitly_wait(10)  # for an element that a script is about to make
    driver.set_script_timeout(300)  # axe-core on a busy machine
    try:
        yield driver
    finally:
        driver.quit()


def look(driver: Any, width: int, *, dark: bool = False) -> None:
    """Give the window a width, and light or dark colours."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def visit(driver: Any, url: str, *, javascript: bool = True) -> None:
    """Load a page from the start, also where only what follows # differs, and wait until its scripts have run."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get("about:blank")
    driver.get(url)
    there = "return location.protocol === 'file:' && document.readyState === 'complete'"
    WebDriverWait(driver, 120).until(lambda _: driver.execute_script(there))
    if javascript:  # the board is plain until its library is unpacked
        sortable = "return !document.querySelector('#choice[hidden]')"
        WebDriverWait(driver, 120).until(lambda _: driver.execute_script(sortable))


@contextmanager
def quiet(driver: Any, site: Path) -> Iterator[None]:
    """Meanwhile the browser says nothing on its console and asks for nothing outside of the site."""
    driver.get("about:blank")
    driver.get_log("browser"), driver.get_log("performance")  # of earlier tests
    yield
    assert driver.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [of["params"]["request"]["url"] for of in sent if of["method"] == "Network.requestWillBeSent"]
    assert urls
    assert {urlsplit(url).scheme for url in urls} <= {"file", "data"}
    assert all(Path(urlsplit(url).path).is_relative_to(site) for url in urls if url.startswith("file"))


def axe() -> str:
    """The script of axe-core; the test is skipped by name without it."""
    path = os.environ.get(AXE, "")
    if not Path(path).is_file():
        pytest.skip(f"{AXE} names no axe.min.js")
    return Path(path).read_text(encoding="utf-8")


def choose(driver: Any, name: str, text: str) -> None:
    """Choose an entry of a select by its text."""
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("name", name)).select_by_visible_text(text)


def until(driver: Any, holds: Callable[[], object]) -> None:
    """Wait for what the page does a moment after a key or a click."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 60).until(lambda _: holds())


def cells(driver: Any, column: int) -> list[str]:
    """What is shown in a column."""
    script = "return [...document.querySelectorAll('#board tbody tr')].map(row => row.cells[arguments[0]]?.innerText)"
    return driver.execute_script(script, column)


def address(driver: Any) -> str:
    return urlsplit(driver.current_url).fragment


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(*keys).perform()
