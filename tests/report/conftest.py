"""One browser for the tests of a file, and the board that they look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import HOSTILE, WIDTHS, look, quiet, running, visit
from made_records import like, record, scored


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """A headless Chromium."""
    with running() as made:
        yield made


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
    from sr_ptq_bench.report.site import build, write

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
