"""What `srq run` shows while it works and at its end."""

from __future__ import annotations

import math

import pytest
from made_records import like
from made_records import record as made
from tiny import write_images

from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.records.summary import lost


def test_a_run_writes_a_record_and_prints_a_table(run, records, tmp_path):
    outcome = run()
    assert outcome.status == 0, outcome.err
    (path,) = records()
    assert path.parent == tmp_path / "out" / "results" / "tiny"
    assert path.name.startswith("minmax-w4a4-x2-s0-")
    record = read_record(path)
    for label, scores in (
        ("bicubic", record.references.bicubic),
        ("bilinear", record.references.bilinear),
        ("minmax w4a4", record.scores),
        ("full precision (FP)", record.references.fp),
    ):
        (row,) = (line for line in outcome.out.splitlines() if line.startswith("│") and label in line)
        mean = scores["noise"].mean
        assert f"{mean['psnr']:.2f}" in row
        assert f"{mean['ssim']:.4f}" in row
    assert "tiny x2, suite tiny" in outcome.out
    assert str(path) in outcome.out.replace("\n", "")


def test_progress_is_on_stderr_in_the_order_of_the_stages(run):
    assert run().err.splitlines() == [
        "Score the FP network",
        "Score bicubic",
        "Score bilinear",
        "Observe distributions",
        "Choose bounds",
        "Calibrate",
        "Score the quantized network",
    ]


def test_a_name_that_looks_like_markup_is_printed_as_it_is(run, tiny_suite, tmp_path):
    write_images(tiny_suite.folder / "test", **{"[bold]x[": (24, 24)})
    tiny_suite.change(test={"[/red]": {"hr": "test"}, "b": {"hr": "test"}})
    outcome = run(out=tmp_path / "[red]")
    assert outcome.status == 0, outcome.err
    assert "[/red]" in outcome.out
    assert str(tmp_path / "[red]") in outcome.out


def test_a_terminal_sees_the_stage_at_which_a_run_fails(capsys, monkeypatch):
    from sr_ptq_bench.cli.display import Display

    monkeypatch.setenv("FORCE_COLOR", "1")
    with pytest.raises(ZeroDivisionError), Display().stage("observe") as report:
        report(1, 2, "[/red]x")
        raise ZeroDivisionError
    shown = capsys.readouterr().err
    assert "Observe distributions" in shown
    assert "[/red]x" in shown


def test_test_sets_that_are_not_at_hand_are_said_in_one_line(run, records, tiny_suite):
    tiny_suite.change(test={"noise": {"hr": "test"}, "B": {"datasets": ["B100"]}, "U": {"datasets": ["Urban100"]}})
    outcome = run()
    assert outcome.status == 0, outcome.err
    assert outcome.err.splitlines()[0] == "Missing test sets are skipped: B, U; see `srq data get`."
    assert read_record(records()[0]).not_scored == ("B", "U")


def test_a_record_makes_a_table(run, srq, tmp_path):
    run()
    outcome = srq("table", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    assert "minmax" in outcome.out


def test_the_end_says_what_was_lost_with_what_options_and_what_comes_next(run, records, tmp_path):
    out = run(method="percentile", bits="2").out
    end = out.splitlines()[-4:]
    (path,) = records()
    record = read_record(path)
    psnr, fp, bicubic = (
        of["noise"].mean["psnr"] for of in (record.scores, record.references.fp, record.references.bicubic)
    )
    assert f"noise: {psnr - fp:+.2f} dB against FP, {psnr - bicubic:+.2f} dB against bicubic" in out.splitlines()
    assert end[1] == "options: defaults"
    assert end[3] == f"next: srq table --suite tiny --out {tmp_path / 'out'}"
    assert "options: p=0.01" in run("-o", "p=0.01", method="percentile").out.splitlines()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), "options: of the suite: mse.points=9, mse.weights=channel"),
        (("-o", "points=8"), "options: points=8; of the suite: mse.weights=channel"),
        (("-o", "mse.points=8", "-o", "weights=tensor"), "options: mse.points=8, weights=tensor"),
    ],
)
def test_the_end_names_the_suite_s_options_of_the_method(run, tiny_suite, given, expected):
    tiny_suite.change(options={"mse": {"points": 9, "weights": "channel"}, "dqc.iterations": 5})
    assert expected in run(*given, method="mse").out.splitlines()


def test_a_result_below_bicubic_is_named():
    better, worse = (list(lost(made(psnr=psnr))) for psnr in (33.7, 33.6))
    assert better == ["Set5: -4.45 dB against FP, +0.02 dB against bicubic"]
    assert worse[1] == "Set5: below bicubic: the quantized network is worse than plain interpolation"


def test_what_is_lost_is_neither_minus_nothing_nor_nan():
    def end(psnr: float, fp: float) -> str:
        scores = made(psnr=psnr).scores
        references = {"fp": like(scores, fp), "bicubic": like(scores, 30.0), "bilinear": like(scores, 30.0)}
        (line,) = lost(made(scores=scores, references=references))
        return line

    assert end(35.0, 35.001) == "Set5: +0.00 dB against FP, +5.00 dB against bicubic"
    assert end(math.inf, math.inf) == "Set5: +0.00 dB against FP, +inf dB against bicubic"
