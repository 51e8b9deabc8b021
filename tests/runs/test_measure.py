"""A run is made once on a machine, and its result delivered to any folder."""

from __future__ import annotations

import pytest
from tiny import Heard, plugin, plugins, prepare, session

from sr_ptq_bench import SrqError
from sr_ptq_bench.records.files import name_of, read_result
from sr_ptq_bench.runs import identity
from sr_ptq_bench.runs import measure as runs
from sr_ptq_bench.runs.measure import deliver, is_current, measure_or_reuse
from sr_ptq_bench.runs.verify import stamped

REUSED = "Measured already on this machine; --force measures again."


@pytest.fixture
def run(tiny_suite):
    return prepare(tiny_suite.spec())


def test_a_result_is_measured_once(run):
    first = measure_or_reuse(run, session())
    heard = Heard()
    assert measure_or_reuse(run, session(reporter=heard)) == first
    assert (heard.lines, heard.stages) == ([REUSED], [])


def test_force_measures_again(run):
    first = measure_or_reuse(run, session())
    heard = Heard()
    again = measure_or_reuse(run, session(reporter=heard), force=True)
    assert again.record.timings != first.record.timings
    assert again.state == first.state
    assert (heard.lines, "evaluate" in heard.stages) == ([], True)


def test_a_result_of_other_versions_is_measured_again(run, monkeypatch):
    first = measure_or_reuse(run, session())
    assert is_current(first.record, run, None)
    original = runs.describe

    def describe(*arguments):
        environment = original(*arguments)
        return environment.model_copy(update={"versions": environment.versions | {"torch": "0"}})

    monkeypatch.setattr(runs, "describe", describe)
    assert not is_current(first.record, run, None)
    heard = Heard()
    assert measure_or_reuse(run, session(reporter=heard)).state == first.state
    assert "evaluate" in heard.stages


def test_a_result_of_another_device_is_not_current(run):
    record = measure_or_reuse(run, session()).record
    assert is_current(record, run, "cpu")
    other = record.model_copy(update={"environment": record.environment.model_copy(update={"device": "a GPU"})})
    assert not is_current(other, run, "cpu")
    assert is_current(other, run, None)


def test_a_result_of_other_code_is_measured_again_unless_it_is_stamped(run, monkeypatch):
    record = measure_or_reuse(run, session()).record
    monkeypatch.setattr(identity, "host_sha256", lambda: "0" * 64)
    assert not is_current(record, run, None)
    assert is_current(stamped(run, record), run, None)


def test_a_damaged_result_is_set_aside_and_measured_again(run):
    first = measure_or_reuse(run, session())
    path = session().cache.records / name_of(first.record)
    path.write_bytes(path.read_bytes()[:40])
    heard = Heard()
    assert measure_or_reuse(run, session(reporter=heard)).state == first.state
    assert path.with_name(f"{path.name}.bad").exists()
    assert "evaluate" in heard.stages
    assert len(heard.lines) == 1
    assert heard.lines[0].startswith(f"record {path}: ")


def test_a_result_is_delivered_with_its_state(run, tmp_path):
    record, path = deliver(run, session(), tmp_path / "out")
    assert path == tmp_path / "out" / run.record_name
    assert read_result(path) == measure_or_reuse(run, session())
    assert read_result(path).record == record


def test_what_is_skipped_and_not_quantized_is_told(run, tmp_path):
    from dataclasses import replace

    heard = Heard()
    teacher = replace(run.teacher, unquantized_ops="products of windows")
    deliver(replace(run, not_scored=("Far",), teacher=teacher), session(reporter=heard), tmp_path / "out")
    assert heard.lines == [
        "Missing test sets are skipped: Far; see `srq data get`.", "Not quantized: products of windows.",
    ]  # fmt: skip


def test_a_record_of_a_later_srq_is_refused_before_any_work(run, tmp_path):
    _, path = deliver(run, session(), tmp_path)
    later = path.read_text().replace('"schema_version": 2', '"schema_version": 3')
    path.write_text(later)
    heard = Heard()
    with pytest.raises(SrqError, match="it is not overwritten"):
        deliver(run, session(reporter=heard), tmp_path)
    assert (heard.stages, path.read_text()) == ([], later)


def test_a_run_that_fails_keeps_nothing(tiny_suite):
    def calibrate():
        raise ZeroDivisionError

    run = prepare(tiny_suite.spec("minmax+bad"), plugins(plugin("bad", calibrate=calibrate)))
    own = session()
    with pytest.raises(SrqError, match="ZeroDivisionError"):
        measure_or_reuse(run, own)
    assert own.cache.result(run.record_name) is None
