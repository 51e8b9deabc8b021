"""What is checked, estimated and refused before a sweep measures anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny import FILE, toml

from sr_ptq_bench.records.files import read_record


def records(out: Path):
    return {path.name: read_record(path) for path in sorted(out.rglob("*.json"))}


def test_a_dry_run_measures_nothing_and_estimates(run, sweep, out, request):
    run()
    request.getfixturevalue("no_engine")
    outcome = sweep("--dry-run", methods="minmax,dobi")
    assert outcome.status == 0, outcome.err
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in outcome.out.splitlines() if "│" in line}
    assert rows["minmax w4a4 x2 tiny seed 0"] == "done"
    assert rows["minmax w2a2 x2 tiny seed 0"].endswith(" s")
    assert rows["dobi w2a2 x2 tiny seed 0"] == "no estimate"
    assert "4 cells, 1 done, 3 to do: about" in outcome.err
    assert "2 without an estimate: no earlier record of that work" in outcome.err
    assert len(records(out)) == 1


@pytest.mark.parametrize(
    ("words", "named", "expected"),
    [
        (["-o", "dqc.iteration=1"], {"methods": "minmax,2dquant"}, "no option 'dqc.iteration'; did you mean"),
        (["-o", "dqc.iterations=0"], {"methods": "minmax,2dquant"}, "cell 2dquant w4a4 x2 tiny seed 0 "),
        ([], {"methods": "minmx"}, "no method 'minmx'; did you mean 'minmax'?"),
        ([], {"methods": "minmax,minmax"}, "methods: minmax is given twice"),
        ([], {"bits": "4,9"}, "bits '9' are out of range; expected 2 to 8"),
        (["--scales", "2,3"], {}, "suite 'tiny' has no weights for x3"),
        (["--scales", "2,x"], {}, "no scale 'x'; expected 2, 3 or 4"),
        (["--models", "edsr"], {}, "no model 'edsr'; there is: tiny"),
        (["--seeds", "0"], {}, "seeds"),
        (["--gpus", "1"], {}, "--gpus goes with --ray"),
        (["--device", "gpu"], {}, "device 'gpu'"),
    ],
)
def test_everything_is_checked_before_any_work(sweep, out, no_engine, words, named, expected):
    outcome = sweep(*words, **named)
    assert outcome.status == 2, outcome
    assert expected in outcome.err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_suite_s_folder_that_cannot_be_written_is_refused_before_any_work(sweep, out, no_engine):
    folder = out / "results" / "tiny"
    folder.parent.mkdir(parents=True)
    folder.symlink_to("/proc")
    outcome = sweep()
    assert outcome.status == 2, outcome.err
    assert f"srq: cannot write to {folder}: " in outcome.err


def test_a_file_and_words_do_not_mix(srq, tmp_path):
    outcome = srq("sweep", tmp_path / "s.toml", "--bits", 4)
    assert outcome.status == 2
    assert "--bits cannot be combined with" in outcome.err


def test_cells_that_differ_in_words_alone_are_one_cell(srq, tiny_suite, tmp_path, out):
    table = {"suite": "tiny/suite.toml", "plugins": [str(FILE)], "bits": [4], "scales": [2], "methods": ["dobi"]}
    text = toml(table) + "[[run]]\n[[run]]\noptions.dobi.K = 100\n"
    (tmp_path / "s.toml").write_text(text)
    outcome = srq("sweep", tmp_path / "s.toml", "--out", out)
    assert outcome.status == 2
    assert "is given twice; leave one out" in outcome.err


def test_without_ray_a_line_says_what_to_install(sweep, out, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = sweep("--ray", "auto")
    assert outcome.status == 2
    assert "pip install 'sr_ptq_bench[ray]'" in outcome.err.splitlines()[-1]
    assert not out.exists()
