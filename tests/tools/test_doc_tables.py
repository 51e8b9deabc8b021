"""The tables in README.md and docs/."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
TABLE = """# t

| Method | Class | W/A bits |
|:---|:---|:---:|
| FP | – | 32/32 |
| bilinear | – | – |
| a | bounds | 4/4 |
| b | bounds | 2/2 |

## Differences

| Method | W/A bits |
|:---|:---:|
| b | 2/2 |
"""
RUN = {"test": "sample/photos", "model": "swinir-light", "bits": 2, "scale": 2}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("doc_tables", ROOT / "tools/doc_tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["doc_tables"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def committed_psnr(method: str) -> float:
    """The PSNR of the one run of a method, read without this package."""
    found = [
        json.loads(path.read_text())
        for path in (ROOT / "leaderboards/results/sample").glob(f"{method}-w2a2-x2-s0-*")
        if path.suffix == ".json"
    ]
    (record,) = (each for each in found if each["spec"]["model"] == "swinir-light")
    return record["scores"]["photos"]["mean"]["psnr"]


@pytest.mark.parametrize(
    "name", sorted(path.relative_to(ROOT) for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]), ids=str
)
def test_every_page_shows_the_committed_records(tool, name):
    page = (ROOT / name).read_text(encoding="utf-8")
    assert tool.renewed(page) == page, "renew it with `python tools/doc_tables.py`"


def test_rows_of_a_table_are_those_of_some_bits_and_the_references(tool):
    assert tool.shown(TABLE, "2/2").splitlines() == [
        "| Method | Class | W/A bits |",
        "|:---|:---|:---:|",
        "| FP | – | 32/32 |",
        "| bilinear | – | – |",
        "| b | bounds | 2/2 |",
    ]


def test_a_cell_is_the_psnr_of_the_record_and_the_best_is_bold(tool):
    text = tool.table_of_psnr(RUN | {"rows": {"method": ["minmax", "percentile"]}})
    low, high = (f"{committed_psnr(method):.2f}" for method in ("minmax", "percentile"))
    assert [line.split("|")[2].strip() for line in text.splitlines()[2:]] == [low, high]
    text = tool.table_of_psnr(RUN | {"best": True, "columns": {"method": ["FP", "minmax", "percentile"]}})
    assert f"| {low} " in text
    assert f"| **{high}**" in text
    assert text.count("**") == 2


def test_a_run_whose_levels_are_not_bounded_is_never_the_best(tool):
    released = "compsrt compsrt.iterations=150 compsrt.batch=2 compsrt.patch=32"
    text = tool.table_of_psnr(RUN | {"best": True, "rows": {"method": [released, "minmax"]}})
    assert "**" not in text.splitlines()[2]
    assert f"| **{committed_psnr('minmax'):.2f}**" in text


def test_the_share_is_that_of_the_losses(tool):
    text = tool.table_of_psnr(RUN | {"share": True, "cell": {"method": ["FP", "minmax", "percentile"]}})
    fp = tool.psnr(tool.Run("sample/photos", "swinir-light", 2, 2, "FP"))
    share = (fp - committed_psnr("percentile")) / (fp - committed_psnr("minmax"))
    assert f"({share:.0%})" in text


def test_what_is_not_measured_is_a_dash(tool):
    text = tool.table_of_psnr(RUN | {"best": True, "rows": {"method": ["percentile p=0.3", "minmax"]}})
    assert text.splitlines()[2].split("|")[2].strip() == "–"
    assert "**" in text.splitlines()[3]


def test_options_choose_among_the_records_of_a_method(tool):
    asked = RUN | {"rows": {"method": ["dobi", "dobi search=joint"]}, "names": {"dobi search=joint": "DOBI, both"}}
    one, other = (line.split("|") for line in tool.table_of_psnr(asked).splitlines()[2:])
    assert other[1].strip() == "DOBI, both"
    assert one[2] != other[2]


def test_a_misspelt_field_is_an_error(tool):
    with pytest.raises(TypeError, match="modle"):
        tool.table_of_psnr(RUN | {"modle": "dat-light", "rows": {"method": ["minmax"]}})
