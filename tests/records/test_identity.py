"""What names a record: all that decides its scores, and neither time nor machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny import comparable
from whole_record import SHA, changed, content, parsed

from sr_ptq_bench.protocol.types import LARGEST_SEED
from sr_ptq_bench.records.files import (
    record_name,
    write_record,
)
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.records.resolved import ResolvedSpec, fingerprint


def test_absent_sets_do_not_change_the_name(tmp_path: Path) -> None:
    """The sets that were scored are in it already."""
    partial = parsed(changed("not_scored", to=["B100"]))
    assert write_record(partial, tmp_path) == write_record(parsed(content()), tmp_path)


def test_the_name_tells_the_run_and_is_known_before_it(tmp_path: Path, record: Record) -> None:
    name = record_name(record.spec, record.hashes)
    assert name == f"2dquant-w4a8-x2-s0-{fingerprint(record.spec, record.hashes)[:12]}.json"
    assert record.key == fingerprint(record.spec, record.hashes)
    assert write_record(record, tmp_path) == tmp_path / name


def test_the_fingerprint_never_changes_by_itself(record: Record) -> None:
    assert record.key[:12] == "f9e037dfd10f"


@pytest.mark.parametrize(
    ("where", "to"),
    [
        (("spec", "seed"), 1),
        (("spec", "options", "dqc", "lr"), 0.02),
        (("spec", "model"), "edsr"),
        (("spec", "padding"), "reflect"),
        (("spec", "bits", "weight"), 3),
        (("hashes", "weights"), SHA["e"]),
        (("hashes", "calibration"), SHA["e"]),
        (("hashes", "test"), {"Set5": SHA["e"]}),
    ],
)
def test_what_decides_the_scores_changes_the_fingerprint(record: Record, where: tuple[str, ...], to: Any) -> None:
    assert parsed(changed(*where, to=to)).key != record.key


@pytest.mark.parametrize(
    ("where", "to"),
    [
        (("timings",), {"calibrate": 2.0, "total": 3.0}),
        (("created",), "2026-01-01T00:00:00Z"),
        (("peak_memory_bytes",), 1),
        (("environment", "device"), "H200"),
        (("environment", "threads"), 1),
        (("environment", "platform"), "Darwin"),
        (("environment", "cpu"), "y"),
    ],
)
def test_time_and_machine_are_not_compared(record: Record, where: tuple[str, ...], to: Any) -> None:
    other = parsed(changed(*where, to=to))
    assert other != record
    assert (comparable(other), other.key) == (comparable(record), record.key)


@pytest.mark.parametrize(
    ("where", "to"),
    [
        (("state_sha256",), SHA["e"]),
        (("environment", "versions"), {"torch": "2.3"}),
        (("figures", "loss"), [0.5]),
    ],
)
def test_results_and_versions_are_compared(record: Record, where: tuple[str, ...], to: Any) -> None:
    other = parsed(changed(*where, to=to))
    assert comparable(other) != comparable(record)
    assert other.key == record.key


def test_the_order_of_options_does_not_matter_to_the_fingerprint(record: Record) -> None:
    options = content()["spec"]["options"]
    turned = {part: dict(reversed(values.items())) for part, values in reversed(options.items())}
    assert parsed(changed("spec", "options", to=turned)).key == record.key


def test_a_record_without_a_scope_is_of_scope_linear_and_has_the_same_name(record: Record) -> None:
    """Such were made before there was a choice."""
    old = content()
    del old["spec"]["scope"]
    assert parsed(old) == parsed(content())
    assert parsed(old).key == parsed(content()).key != parsed(changed("spec", "scope", to="all")).key


same_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


@same_folder
@given(method=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", fullmatch=True), seed=st.integers(0, LARGEST_SEED))
def test_names_are_safe(record: Record, method: str, seed: int) -> None:
    spec = record.spec.model_copy(update={"method": method, "seed": seed})
    name = record_name(ResolvedSpec.model_validate(spec.model_dump()), record.hashes)
    assert Path(name).name == name
    assert len(name) < 200
    assert not name.startswith((".", "-"))


@same_folder
@given(st.text(max_size=20))
def test_a_method_whose_name_is_unsafe_is_refused(method: str) -> None:
    value = changed("spec", "method", to=method)
    try:
        record = parsed(value)
    except ValidationError:
        return
    assert set(record.spec.method) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")


def test_a_copy_with_another_spec_has_a_key_of_its_own():
    known = Record.model_validate_json(json.dumps(content()), strict=True)
    other = known.model_copy(update={"spec": known.spec.model_copy(update={"seed": known.spec.seed + 1})})
    assert known.key != other.key
    assert other.model_copy().key == other.key
