"""`srq analyze` ranks sites, as a table and as a figure."""

from __future__ import annotations

import csv
import json

import pytest
from tiny import FILE, SITES

from sr_ptq_bench.records.files import read_record


@pytest.fixture
def analyze(srq, tiny_suite, tmp_path):
    """`srq analyze` on the tiny suite at x2."""

    def call(*more, method="minmax", bits="2"):
        fixed = ("--suite", tiny_suite.path, "--plugin", FILE, "--scale", 2, "--results", tmp_path / "none")
        return srq("analyze", *fixed, "--method", method, "--bits", bits, *more)

    return call


def test_all_sites_are_ranked(analyze):
    outcome = analyze("--format", "json")
    assert outcome.status == 0, outcome.err
    lines = json.loads(outcome.out)
    assert [line["rank"] for line in lines] == list(range(1, 7))
    assert sorted(line["site"] for line in lines) == sorted(SITES)
    only = [line["psnr_only"] for line in lines]
    assert only == sorted(only)
    assert len({line["psnr_all"] for line in lines}) == 1


def test_the_markdown_table_says_what_was_measured(analyze):
    text = analyze("--patches", 3).out
    assert "# Sensitivity of tiny x2, w2a2, suite tiny, minmax" in text
    assert "PSNR against FP output, 3 calibration patches" in text
    assert "Everything quantized: " in text


@pytest.mark.parametrize(("by", "groups"), [("layer", 4), ("producer", 5)])
def test_groups(analyze, by, groups):
    outcome = analyze("--by", by, "--format", "csv")
    lines = list(csv.DictReader(outcome.out.splitlines()))
    assert len(lines) == groups
    assert sum(int(line["sites"]) for line in lines) == len(SITES)


def test_options_reach_the_method_and_stand_in_the_title(analyze):
    wide, narrow = (analyze("-o", f"p={p}", "--format", "json", method="percentile").out for p in ("1e-3", "0.2"))
    assert json.loads(wide)[0]["psnr_all"] != json.loads(narrow)[0]["psnr_all"]
    assert "suite tiny, p=0.2, percentile" in analyze("-o", "p=0.2", method="percentile").out


def test_twice_the_same(analyze):
    assert analyze().out == analyze().out


def test_more_bits_lose_less(analyze):
    few, many = (json.loads(analyze("--format", "json", bits=bits).out)[0] for bits in ("2", "8"))
    assert many["psnr_all"] > few["psnr_all"] + 10


def test_a_test_set_scores_against_hr(analyze):
    outcome = analyze("--test", "noise", "--by", "producer")
    assert outcome.status == 0, outcome.err
    assert "PSNR against HR, test set noise" in outcome.out


def test_a_suite_with_tiles_is_scored_as_its_records_are(analyze, srq, tiny_suite, tmp_path):
    tiny_suite.change(tiles={"size": 8, "overlap": 4})
    words = ("--suite", tiny_suite.path, "--plugin", FILE, "--scale", 2, "--out", tmp_path / "out")
    assert srq("run", *words, "--method", "minmax", "--bits", 2).status == 0
    (path,) = (tmp_path / "out").rglob("*.json")
    line = json.loads(analyze("--test", "noise", "--format", "json").out)[0]
    assert line["psnr_all"] == pytest.approx(read_record(path).scores["noise"].mean["psnr"], abs=1e-9)


@pytest.mark.parametrize("by", ["site", "producer"])
def test_a_figure(analyze, tmp_path, by):
    outcome = analyze("--by", by, "--plot", tmp_path / "f.png")
    assert outcome.err.splitlines()[-1] == f"wrote {tmp_path / 'f.png'}"
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--method", "minmx"), "srq: no method 'minmx'; did you mean 'minmax'?"),
        (("-o", "p=0.2"), "srq: no option 'p'"),
        (("-o", "p"), "srq: "),
        (("--test", "nose"), "srq: no test set 'nose'; did you mean 'noise'?"),
        (("--test", "noise", "--patches", "2"), "srq: --test scores a test set, and --patches calibration patches"),
        (("--patches", "5"), "srq: 5 patches are more than the 4 of the calibration"),
        (("--patches", "0"), "srq: Invalid value for '--patches': 0 is not in the range x>=1."),
        (("--seed", 2**64), "srq: Invalid value for '--seed': 18446744073709551616 is not in the range"),
        (("--by", "block"), "srq: Invalid value for '--by': 'block' is not one of"),
        (("--plot", "f.gif"), "srq: no picture can be written to f.gif; expected a name that ends in .png, .pdf, .svg"),
        (("--scale", "3"), "srq: suite 'tiny' has no weights for x3; it has x2"),
    ],
)
def test_what_cannot_be(analyze, more, line):
    outcome = analyze(*more)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith(line)
    assert len(outcome.err.splitlines()) == 1
