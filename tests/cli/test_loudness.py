"""`--quiet`, `--verbose` and `--json`, on every command that has them."""

from __future__ import annotations

import json
import re

import pytest
from tiny import FILE


@pytest.fixture
def run(srq, tiny_suite, tmp_path):
    words = ("--suite", tiny_suite.path, "--plugin", FILE, "-m", "minmax", "-b", 4, "-s", 2, "--out", tmp_path / "out")
    return lambda *more: srq("run", *words, *more)


LONG = [
    "run", "sweep", "ablate", "upscale", "analyze", "report", "verify", "data get", "data import", "plot bounds",
    "plot distributions", "plot crops", "plot errors",
]  # fmt: skip
FOR_SCRIPTS = ["run", "verify", "methods", "doctor", "cache", "data get"]


@pytest.mark.parametrize("command", LONG)
def test_a_long_command_can_be_quiet_and_verbose(srq, command):
    told = srq(*command.split(), "--help").out
    assert "-q, --quiet" in told
    assert "-v, --verbose" in told
    refused = srq(*command.split(), "-q", "-v")
    assert refused.status == 2
    assert "give one of --quiet and --verbose" in refused.err


@pytest.mark.parametrize("command", FOR_SCRIPTS)
def test_what_a_script_reads_has_json(srq, command):
    assert re.search(r"--json +For programs", srq(*command.split(), "--help").out)


def test_quiet_leaves_the_result_alone(run):
    outcome = run("--quiet")
    assert (outcome.status, outcome.err) == (0, "")
    assert "full precision (FP)" in outcome.out
    assert "next:" not in outcome.out


def test_quiet_does_not_hide_an_error(run):
    outcome = run("--quiet", "-o", "nothing=1")
    assert outcome.status == 2
    assert "nothing" in outcome.err


def test_verbose_says_seconds_and_tenths(run):
    err = run("--verbose").err
    assert re.search(r"^Calibrate: [\d.]+ s$", err, re.MULTILINE)
    assert re.search(r"^Choose bounds: \d of 6", err, re.MULTILINE)
    assert not re.search(r" s$", run("--force").err, re.MULTILINE)


def test_the_next_command_is_as_loud_as_it_is_asked(run):
    run("--quiet")
    assert run("--force").err != ""


def test_a_run_as_json(run):
    (found,) = json.loads(run("--json", "--quiet").out)
    with open(found["path"]) as file:  # noqa: PTH123
        assert json.load(file) == found["record"]
    assert found["record"]["spec"]["method"] == "minmax"


def test_a_verification_as_json(run, srq, tiny_suite):
    (found,) = json.loads(run("--json").out)
    outcome = srq("verify", found["path"], "--suite", tiny_suite.path, "--plugin", FILE, "--json")
    (verified,) = json.loads(outcome.out)
    assert (outcome.status, verified["holds"]) == (0, True)
    psnr = verified["scores"][0]
    assert (psnr["test_set"], psnr["metric"], psnr["holds"]) == ("noise", "psnr", True)
    assert psnr["again"] == psnr["recorded"] == found["record"]["scores"]["noise"]["mean"]["psnr"]


def test_methods_as_json(srq):
    found = {each["name"]: each for each in json.loads(srq("methods", "--json").out)}
    assert found["2dquant"]["parts"] == ["dobi", "dqc"]
    assert found["minmax"]["kind"] == "initializer"
    assert found["percentile"]["options"]["p"] == pytest.approx(0.01, rel=10)


def test_image_sets_and_weights_as_json(srq):
    found = {each["name"]: each["available"] for each in json.loads(srq("data", "get", "--json").out)}
    assert found["Set5"] is False
