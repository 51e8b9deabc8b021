"""One page in four formats."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sr_ptq_bench.tables.formats import Bold, Cell, Column, Page, Sheet, latex, markdown, render

COLUMNS = [Column("Method"), Column("PSNR | dB", "right")]
ROWS = [("minmax", ("34.39",)), ("a|b\nc_d", (Bold("37.87"), " ± ", "0.10"))]


def paged(rows: list[tuple[Cell, Cell]], lines: list[dict[str, Any]] | None = None, **of_sheet: Any) -> Page:
    sheet = Sheet(COLUMNS, rows, **of_sheet)
    return Page("Made by `srq x`", "A title", [sheet], ["One\nnote: 5 %.", "Two."], lines or [], lead="Read  me.")


def cells_of(text: str) -> list[list[str]]:
    """The cells of all lines of all pipe tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown() -> None:
    text = markdown(paged(ROWS, heading="Scores", lead="Below."))
    before, table, after = re.split(r"\n(?=\|)|\|\n(?!\|)", text.replace("|\n|", "|\r|"))
    assert before == "<!-- Made by `srq x`; do not edit. -->\n\n# A title\n\nRead  me.\n\n## Scores\n\nBelow.\n"
    assert after == "\n- One note: 5 %.\n- Two.\n"
    head, rule, *body = cells_of(text)
    assert head == ["Method", r"PSNR \| dB"]
    assert [re.sub("-+", "-", mark) for mark in rule] == [":-", "-:"]
    assert body == [["minmax", "34.39"], [r"a\|b c_d", "**37.87** ± 0.10"]]
    assert len({len(line) for line in f"{table}|".split("\r")}) == 1


def test_latex() -> None:
    text = latex(paged(ROWS, heading="Scores", lead="Below."))
    lines = [re.sub(" +", " ", line).strip() for line in text.splitlines()]
    assert lines[:5] == ["% Made by `srq x`", "% A title", "% Read me.", "% Scores", "% Below."]
    assert lines[-2:] == ["% One note: 5 %.", "% Two."]
    assert lines[5] == r"\begin{tabular}{lr}"
    assert r"Method & PSNR | dB \\" in lines
    assert r"minmax & 34.39 \\" in lines
    assert r"a|b c\_d & \textbf{37.87} $\pm$ 0.10 \\" in lines


def test_programs_get_the_lines_of_all_pages_in_full() -> None:
    one = paged(ROWS, [{"method": "a,b", "psnr": 1 / 3, "std": math.nan}])
    two = paged([], [{"method": "FP", "psnr": 2.0, "against": None, "difference": 0.5}])
    lines = list(csv.DictReader(io.StringIO(render([one, two], "csv"))))
    assert lines == [
        {"method": "a,b", "psnr": repr(1 / 3), "std": "", "against": "", "difference": ""},
        {"method": "FP", "psnr": "2.0", "std": "", "against": "", "difference": "0.5"},
    ]
    loaded = json.loads(render([one, two], "json"))
    assert loaded[0] == {"method": "a,b", "psnr": 1 / 3, "std": None, "against": None, "difference": None}
    assert loaded[1]["difference"] == 0.5


def test_infinity_is_spelt_as_in_a_record() -> None:
    page = paged([], [{"psnr": math.inf}, {"psnr": 1.5}])
    assert json.loads(render([page], "json")) == [{"psnr": "inf"}, {"psnr": 1.5}]
    assert render([page], "csv") == "psnr\ninf\n1.5\n"


def test_readers_get_page_after_page() -> None:
    one, two = paged(ROWS), paged(ROWS[:1])
    assert render([one, two], "markdown") == f"{markdown(one)}\n{markdown(two)}"
    assert render([one, two], "latex") == f"{latex(one)}\n{latex(two)}"


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_text_can_break_a_table(one: str, other: str) -> None:
    text = markdown(paged([(one, (Bold(other), one))]))
    assert [len(row) for row in cells_of(text)] == [2, 2, 2]
    body = latex(paged([(one, (Bold(other), one))])).splitlines()
    assert len(body) == len(latex(paged([("a", "b")])).splitlines())
    (row,) = [line for line in body if line.endswith(r"\\") and "Method" not in line]
    assert len(re.findall(r"(?<!\\)&", row)) == 1
