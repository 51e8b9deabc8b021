"""`srq doctor` says what is wrong, and what to do."""

from __future__ import annotations

import json

import pytest
import torch

from sr_ptq_bench.runs import health


def found(what):
    return {finding.what: finding for finding in health.examine()}[what]


def test_a_sound_machine_is_status_0_and_every_line_says_what_was_found(srq):
    outcome = srq("doctor")
    assert outcome.status == 0, outcome.out
    for what in ("Python: 3.", "torch: ", "basicsr: 1.", "BasicSR with this torchvision: loads", "cache: ", "GiB free"):
        assert what in outcome.out
    assert "BAD" not in outcome.out


def test_programs_read_the_same(srq):
    outcome = srq("doctor", "--json")
    table = json.loads(outcome.out)
    assert all(entry.keys() == {"what", "status", "found", "remedy"} for entry in table)
    assert {entry["what"] for entry in table} >= {"Python", "torch", "cache", "disk", "threads", "methods"}


def test_a_home_that_cannot_be_written_is_bad(srq, own_home):
    own_home.write_text("a file")
    outcome = srq("doctor", "--quiet")
    assert outcome.status == 1
    assert f"BAD   cache: {own_home}" in outcome.out
    assert "let SRQ_HOME name a folder" in outcome.out
    assert "Python" not in outcome.out


def test_a_busy_machine_is_a_note(monkeypatch):
    monkeypatch.setattr(health.os, "getloadavg", lambda: (0.0, 0, 0))
    assert found("load").status == "ok"
    monkeypatch.setattr(health.os, "getloadavg", lambda: (1000.0, 0, 0))
    assert found("load").status == "note"
    assert "times of runs will be too long" in found("load").remedy


def test_a_system_without_load_average_or_affinity(monkeypatch):
    monkeypatch.delattr(health.os, "getloadavg")
    monkeypatch.delattr(health.os, "sched_getaffinity", raising=False)
    assert "load" not in {finding.what for finding in health.examine()}
    assert found("threads").found.endswith(f"of {health.os.cpu_count()} processors")


def test_an_old_and_a_new_python(monkeypatch):
    for version, status in (((3, 10, 0), "note"), ((3, 11, 0), "ok"), ((3, 13, 1), "ok"), ((3, 14, 0), "note")):
        monkeypatch.setattr(health.sys, "version_info", version)
        assert next(health._python()).status == status


def test_a_gpu_that_torch_was_not_built_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(health.shutil, "which", lambda name: f"/bin/{name}")
    assert "torch is built for CPUs" in next(health._device()).remedy


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(health.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 1000}))
    assert "`srq cache prune`" in next(health._disk()).remedy


@pytest.mark.parametrize("error", [ImportError("no rgb_to_grayscale"), OSError("undefined symbol")])
def test_a_library_that_does_not_load(monkeypatch, error):
    def broken(name):
        raise error

    monkeypatch.setattr(health.importlib, "import_module", broken)
    finding = next(health._basicsr())
    assert (finding.status, finding.found) == ("bad", f"{type(error).__name__}: {error}")
