"""The figures of a table's page, each with the numbers behind it."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Any

import pytest
from made_records import like, record, scored
from pages import Page

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.records.record import MostLevels
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.report.figures import MOST
from sr_ptq_bench.report.site import build

PAGE = "sample/swinir-light-x2"
LOSSES = {"losses": (0.5, 0.25, 0.125)}


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    return build([record("minmax"), record("dobi+dqc", 31.0, figures=LOSSES)], [], "srq report")


def test_a_row_whose_levels_are_not_bounded_takes_no_place_in_a_figure():
    most = MostLevels(site="fc2.input", bits=4, levels=37)
    bounded = [record(f"method{index}", 30.0) for index in range(MOST)]
    text = build([*bounded, record("loose", 35.0, most_levels=most)], [], "srq report")["sample/swinir-light-x2.html"]
    (numbers, *_) = re.findall(r"<details.*?</details>", text, re.DOTALL)
    assert "method7" in numbers
    assert "loose" not in numbers


def test_figures_have_their_numbers(site):
    text = site["sample/swinir-light-x2.html"]
    for heading in ("PSNR over bits", "PSNR over bytes", "PSNR over calibration time", "Loss over steps, w4a4"):
        assert f'aria-label="{heading}"' in text
    assert text.count("<summary>The numbers") == 2  # of the figures of PSNR, which share theirs, and of the loss
    lines = list(csv.reader(io.StringIO(site["sample/swinir-light-x2-loss.csv"])))
    assert lines == [["step", "dobi+dqc w4a4"], ["1", "0.5"], ["2", "0.25"], ["3", "0.125"]]


def test_a_long_loss_has_the_means_of_its_steps():
    """Of 80 steps each line has two."""
    values = tuple(float(step) for step in range(80, 0, -1))
    made = build([record("dobi+dqc", figures={"losses": values}), record("minmax+dqc", figures={"losses": values[:3]})],
        [], "srq report")  # fmt: skip
    head, *lines = csv.reader(io.StringIO(made["sample/swinir-light-x2-loss.csv"]))
    assert head == ["step", "dobi+dqc w4a4", "minmax+dqc w4a4"]
    assert lines[:3] == [["2", "79.5", "79.5"], ["4", "77.5", "78"], ["6", "75.5", ""]]
    assert lines[-1] == ["80", "1.5", ""]


def of_sets(method: str, a: float | None, b: float | None, **words: Any) -> Any:
    sets = {
        name: DatasetScores.of({"x": {"ssim": 0.9} | ({} if psnr is None else {"psnr": psnr})})
        for name, psnr in (("A", a), ("B", b))
    }
    known = {name: DatasetScores.of({"x": {"psnr": 40.0, "ssim": 0.9}}) for name in ("A", "B")}
    return record(method, scores=sets, references=dict.fromkeys(("fp", "bicubic", "bilinear"), known), **words)


@pytest.mark.parametrize(("odd", "other"), [(math.inf, 33.0), (None, None)])
def test_a_method_without_a_finite_psnr_on_one_set_is_drawn_on_the_other(odd, other):
    site = build([of_sets("minmax", odd, 35.0, figures=LOSSES), of_sets("dobi", other, 34.0)], [], "srq report")
    text = site[f"{PAGE}.html"]
    assert f"Not drawn where PSNR is infinite or missing: minmax{', dobi' * (other is None)}." in text
    shown = "inf" if odd else "–"
    assert [row[0] for row in numbers(text) if row[-2:] == [shown, "35.00"]] == ["minmax"]
    assert 'aria-label="Loss over steps, w4a4"' in text
    assert site[f"{PAGE}-loss.csv"].startswith("step,minmax w4a4\n")


def test_a_method_without_any_finite_psnr_has_its_loss(site):
    text = build([of_sets("minmax", math.inf, None, figures=LOSSES)], [], "srq report")[f"{PAGE}.html"]
    assert 'aria-label="Loss over steps, w4a4"' in text
    assert 'aria-label="PSNR over bits"' not in text


def numbers(text: str) -> list[list[str]]:
    """The rows of the first table of numbers."""
    (first, *_) = re.findall(r'<div id="numbers".*?</div>', text, re.DOTALL)
    return [[cell.strip() for cell in row] for row in Page(first).rows]


def test_the_lines_of_references_and_the_bars_of_seeds_are_among_the_numbers():
    references = {name: like(scored(1.0), psnr) for name, psnr in (("fp", 36.0), ("bicubic", 29.0), ("bilinear", 28.0))}
    made = [record(psnr=psnr, seed=seed, references=references) for seed, psnr in enumerate((30.0, 31.0))]
    rows = numbers(build(made, [], "srq report")[f"{PAGE}.html"])
    assert [(row[0], row[-1]) for row in rows[-3:]] == [
        ("FP", "36.00"), ("bicubic (MATLAB)", "29.00"), ("minmax", "30.50 ± 0.71"),
    ]  # fmt: skip


def test_no_cell_of_the_losses_is_a_formula():
    """Where semicolons separate cells, a name may hold one."""
    made = [
        record("minmax", options={"minmax": {"word": f"a;=HYPERLINK({n});b"}}, figures=LOSSES, scores=scored(30.0 + n))
        for n in range(2)
    ]
    text = build(made, [], "srq report")[f"{PAGE}-loss.csv"]
    assert ";'=HYPERLINK" in text
    assert ";=" not in text
