"""A file that is no record is refused in one line, whatever it holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_record import COMPLEXITY, OTHER, SHA, changed, content, mixed, parsed, scores, written

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.types import LARGEST_SEED
from sr_ptq_bench.records import files as records
from sr_ptq_bench.records.files import (
    read_record,
    write_record,
)
from sr_ptq_bench.records.record import Record


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (json.dumps(content())[:100], "Invalid JSON: EOF while parsing"),
        ("[" * 10000, "Invalid JSON: recursion limit exceeded"),
        ("[]", "Input should be an object"),
        ({**content(), "schema_version": 3}, "schema version 3; this srq reads 2"),
        ({**content(), "schema_version": "2"}, "schema version '2'; this srq reads 2"),
        (
            {**content(), "schema_version": 1},
            "schema version 1; this srq reads 2; it is of an older srq: measure again",
        ),
        ({k: v for k, v in content().items() if k != "schema_version"}, "schema_version is missing"),
        ({k: v for k, v in content().items() if k != "scores"}, "scores is missing"),
        ({k: v for k, v in content().items() if k != "complexity"}, "complexity is missing"),
        ({k: v for k, v in content().items() if k != "state_sha256"}, "state_sha256 is missing"),
        ({**mixed(), "site_bits": {"a": 0}}, "site_bits.a: Input should be greater than or equal to 1, got 0"),
        ({**mixed(), "site_bits": {"a": 33}}, "site_bits.a: Input should be less than or equal to 32, got 33"),
        (
            {**content(), "complexity": COMPLEXITY | {"parameters": {"4": 1}}},
            "complexity and scope count different numbers of parameters",
        ),
        (
            {**content(), "complexity": COMPLEXITY | {"macs": {"64": 1}}},
            "complexity.macs.64.[key]: Input should be less than or equal to 32",
        ),
        ({**content(), "score": 1}, "no key 'score'; did you mean 'scores'?"),
        (changed("spec", "sed", to=1), "no key 'spec.sed'"),
        (
            changed("spec", "seed", to=LARGEST_SEED + 1),
            "spec.seed: Input should be less than or equal to 9223372036854775807, got 9223372036854775808",
        ),
        (changed("spec", "seed", to=-1), "spec.seed: Input should be greater than or equal to 0, got -1"),
        (changed("spec", "seed", to="0"), "spec.seed: Input should be a valid integer, got '0'"),
        (
            changed("spec", "bits", "weight", to=9),
            "spec.bits.weight: Input should be less than or equal to 8, got 9",
        ),
        (changed("spec", "scale", to=5), "spec.scale: Input should be 2, 3 or 4, got 5"),
        (changed("spec", "suite", to="../x"), "spec.suite: String should match"),
        (
            changed("spec", "options", "dqc", "lr", to=math.nan),
            "spec.options.dqc.lr: expected a finite number",
        ),
        (changed("figures", "loss", to=[math.inf]), "figures.loss: expected a finite number"),
        (changed("figures", "losses", to=[1.0, -1e308]), "figures.losses: expected a finite number up to 1e+200"),
        (
            changed("timings", "bounds", to=1e308),
            "timings.bounds: Input should be less than or equal to 1000000000, got 1e+308",
        ),
        (changed("figures", "loss", to="/home/me/x"), "figures.loss: a record holds no absolute paths"),
        (changed("figures", "C:\\me", to=1), "figures.C:\\me.[key]: a record holds no absolute paths"),
        (changed("environment", "cpu", to="~/x"), "environment.cpu: a record holds no absolute paths"),
        (changed("scores", to=scores(math.nan)), "scores.Set5.images.baby.psnr: a score is a number or +inf"),
        (
            changed("scores", to=scores(math.inf)),
            'scores.Set5.images.baby.psnr: an infinite score is written "inf"',
        ),
        (
            changed("scores", "Set5", "mean", "psnr", to=37.6),
            "scores.Set5: mean psnr 37.6 is not the images' 37.5",
        ),
        (
            changed("scores", "Set5", "mean", to={}),
            "scores.Set5: not every image has the same metrics as the mean",
        ),
        (
            changed("hashes", "test", to={"Set14": SHA["a"]}),
            "hashes.test and scores name different test sets",
        ),
        (changed("hashes", "weights", to="a"), "hashes.weights: String should match"),
        (changed("references", "fp", "Set5", to=OTHER), "references.fp and scores name different images"),
        (changed("not_scored", to=["Set5"]), "not_scored names a test set that has scores"),
        (changed("peak_memory_bytes", to=10**400), "peak_memory_bytes: Input should be less than 9223372036854775808"),
        (changed("created", to="2025-01-31T12:00:00+02:00"), "created: expected a time in UTC"),
        (changed("created", to="2025-01-31T12:00:00"), "created: Input should have timezone info"),
        (
            changed("timings", "calibrate", to=-1),
            "timings.calibrate: Input should be greater than or equal to 0",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, value: Any, complaint: str) -> None:
    path = written(tmp_path, value)
    with pytest.raises(SrqError) as caught:
        read_record(path)
    assert str(caught.value).startswith(f"record {path}: {complaint}")
    assert str(caught.value).isprintable()


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record) -> None:
    path = write_record(record, tmp_path)
    monkeypatch.setattr(records, "LARGEST_FILE", path.stat().st_size)
    assert read_record(path) == record
    monkeypatch.setattr(records, "LARGEST_FILE", path.stat().st_size - 1)
    with pytest.raises(SrqError, match=r"is larger than \d+ KiB, the limit for such a file; remove or replace it$"):
        read_record(path)


def test_a_long_complaint_is_cut_and_stays_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, changed("spec", "padding", to="\x1b[2J\n" * 1000))
    with pytest.raises(SrqError) as caught:
        read_record(path)
    assert len(str(caught.value)) < 400 + len(str(path))
    assert str(caught.value).isprintable()


def test_a_missing_file_and_a_folder_are_expected_failures(tmp_path: Path) -> None:
    with pytest.raises(SrqError, match=r"^cannot read record .*: No such file or directory$"):
        read_record(tmp_path / "gone.json")
    with pytest.raises(SrqError, match=r"^cannot read record .*: Is a directory$"):
        read_record(tmp_path)


Read = Callable[[bytes], Record | None]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads bytes as a record file; None where they are refused, and any other exception passes."""

    def attempt(data: bytes) -> Record | None:
        path = tmp_path / "r.json"
        path.write_bytes(data)
        try:
            return read_record(path)
        except SrqError as error:
            assert str(error).isprintable()
            return None

    return attempt


same_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


@same_folder
@given(st.binary())
def test_arbitrary_bytes_are_refused(read: Read, data: bytes) -> None:
    assert read(data) is None


@same_folder
@given(st.data())
def test_damaged_bytes_give_a_record_or_an_expected_failure(read: Read, data: st.DataObject) -> None:
    whole = json.dumps(content()).encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    read(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])


def places(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([at] if at else []), *(place for key, each in inner for place in places(each, (*at, key)))]


numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**4000), 2**63, 1e308])
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text() | st.sampled_from(["inf", "0001-01-01T00:00:00+05:00", "NaN"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@same_folder
@given(st.sampled_from(places(mixed())), values)
def test_any_value_in_any_place_gives_a_record_or_an_expected_failure(
    read: Read, where: tuple[str | int, ...], value: Any
) -> None:
    record = read(json.dumps(changed(*where, to=value, of=mixed())).encode())
    if record is not None:
        assert parsed(record.model_dump(mode="json")) == record
