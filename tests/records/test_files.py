"""Records survive the file, their names are known beforehand, and everything else is refused in one line."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny import comparable

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.run_spec import RunSpec
from sr_ptq_bench.protocol.suite import Calibration, DataSource, Suite
from sr_ptq_bench.protocol.types import LARGEST_SEED
from sr_ptq_bench.records import files as records
from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.files import (
    RunResult,
    read_record,
    read_records,
    read_result,
    record_name,
    state_path,
    write_record,
)
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.records.resolved import ResolvedSpec, fingerprint
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.storage.files import ABANDONED

COMPLEXITY = {"parameters": {"32": 218952, "4": 691200}, "macs": {"32": 43545600, "8": 224133120}, "lr_pixels": 256}
STATE = b"the state of a student"
SHA = {digit: digit * 64 for digit in "0123456789abcdef"}


def scores(psnr: float, ssim: float = 0.5) -> dict[str, Any]:
    images = {"baby": {"psnr": psnr, "ssim": ssim}, "bird": {"psnr": psnr, "ssim": ssim}}
    return {"Set5": {"images": images, "mean": {"psnr": psnr, "ssim": ssim}}}


def content() -> dict[str, Any]:
    """A whole record as its file holds it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "spec": {
            "method": "2dquant",
            "parts": ["dobi", "dqc"],
            "bits": {"weight": 4, "activation": 8},
            "scale": 2,
            "seed": 0,
            "model": "swinir-light",
            "suite": "sample",
            "options": {
                "dobi": {"K": 100},
                "dqc": {"lr": 0.01, "flips": True, "betas": [0.9, 0.999], "x": None},
            },
            "padding": "flip",
            "calibration": {"patches": 32, "size": 64},
            "scope": "linear",
        },
        "scope": {
            "short": "linear+matmul",
            "description": "Linear layers and matrix products",
            "sites": 384,
            "quantized_weights": 691200,
            "parameters": 910152,
        },
        "complexity": COMPLEXITY,
        "scores": scores(37.5),
        "not_scored": [],
        "references": {"fp": scores(38.0), "bicubic": scores(33.68), "bilinear": scores(32.25)},
        "figures": {"checkpoint": "last", "loss": [0.5, 0.25], "iterations": 3000},
        "environment": {
            "versions": {"torch": "2.2"},
            "device": "cpu",
            "threads": 2,
            "platform": "Linux",
            "cpu": "x",
        },
        "hashes": {"weights": SHA["a"], "calibration": SHA["b"], "test": {"Set5": SHA["c"]}, "plugins": {}},
        "state_sha256": hashlib.sha256(STATE).hexdigest(),
        "timings": {"calibrate": 1.5, "total": 2.0},
        "peak_memory_bytes": 1024,
        "created": "2025-01-31T12:00:00Z",
    }


def parsed(value: dict[str, Any]) -> Record:
    return Record.model_validate_json(json.dumps(value), strict=True)


def mixed() -> dict[str, Any]:
    """The content with the bits of the sites that differ from those of the run."""
    entries = list(content().items())
    return dict([*entries[:3], ("site_bits", {"layers.0.weight": 3, "layers.1.weight": 5}), *entries[3:]])


@pytest.fixture
def record() -> Record:
    return parsed(content())


OTHER = {"images": {"other": {"psnr": 1.0}}, "mean": {"psnr": 1.0}}


def changed(*where: str | int, to: Any, of: dict[str, Any] | None = None) -> dict[str, Any]:
    """The content, or `of`, with the value at this place set."""
    value = copy.deepcopy(of or content())
    place: Any = value
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = to
    return value


def written(folder: Path, value: Any) -> Path:
    path = folder / "r.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_what_is_written_is_read_again(tmp_path: Path, record: Record) -> None:
    path = write_record(record, tmp_path)
    assert read_record(path) == record
    assert read_records(tmp_path) == [record]


def test_a_record_from_before_absent_sets_were_told_has_none() -> None:
    value = content()
    del value["not_scored"]
    assert parsed(value) == parsed(content())


def test_absent_sets_do_not_change_the_name(tmp_path: Path) -> None:
    """The sets that were scored are in it already."""
    partial = parsed(changed("not_scored", to=["B100"]))
    assert write_record(partial, tmp_path) == write_record(parsed(content()), tmp_path)


def test_the_file_holds_the_content_in_its_order_and_ends_in_a_newline(tmp_path: Path, record: Record) -> None:
    text = write_record(record, tmp_path).read_text()
    assert text == json.dumps(content(), indent=1) + "\n"


def test_bits_of_sites_are_in_the_file_where_there_are_any_and_not_in_the_name(tmp_path: Path, record: Record) -> None:
    path = write_record(parsed(mixed()), tmp_path)
    assert path.read_text() == json.dumps(mixed(), indent=1) + "\n"
    assert path.name == record_name(record.spec, record.hashes)
    assert read_record(path).site_bits == {"layers.0.weight": 3, "layers.1.weight": 5}
    assert record.site_bits == {}


def test_writing_twice_gives_the_same_bytes(tmp_path: Path, record: Record) -> None:
    first = write_record(record, tmp_path).read_bytes()
    assert (
        write_record(read_record(tmp_path / record_name(record.spec, record.hashes)), tmp_path / "b").read_bytes()
        == first
    )


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


def test_equal_images_have_an_infinite_score_spelt_inf(tmp_path: Path) -> None:
    record = parsed(changed("scores", to=json.loads(json.dumps(scores(math.inf)).replace("Infinity", '"inf"'))))
    assert record.scores["Set5"].mean["psnr"] == math.inf
    path = write_record(record, tmp_path)
    assert "Infinity" not in path.read_text()
    assert '"psnr": "inf"' in path.read_text()
    assert read_record(path) == record


def test_means_are_taken_over_the_images() -> None:
    of = DatasetScores.of({"a": {"psnr": 30.0, "ssim": 0.5}, "b": {"psnr": 31.0, "ssim": 1.0}})
    assert of.mean == {"psnr": 30.5, "ssim": 0.75}
    assert DatasetScores.of({"a": {"psnr": math.inf}, "b": {"psnr": 31.0}}).mean == {"psnr": math.inf}


def test_scores_may_be_infinite_in_python_but_not_nan() -> None:
    with pytest.raises(ValidationError, match="a score is a number"):
        DatasetScores.of({"a": {"psnr": math.nan}})


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
        ({k: v for k, v in content().items() if k != "schema_version"}, "schema_version: Field required"),
        ({k: v for k, v in content().items() if k != "scores"}, "scores: Field required"),
        ({k: v for k, v in content().items() if k != "complexity"}, "complexity: Field required"),
        ({k: v for k, v in content().items() if k != "state_sha256"}, "state_sha256: Field required"),
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


def test_records_are_read_in_the_order_of_their_names(tmp_path: Path, record: Record) -> None:
    others = [parsed(changed("spec", "method", to=method)) for method in ("percentile", "minmax")]
    names = sorted(write_record(each, tmp_path).name for each in [record, *others])
    assert [record_name(each.spec, each.hashes) for each in read_records(tmp_path)] == names
    assert [each.spec.method for each in read_records(tmp_path)] == ["2dquant", "minmax", "percentile"]


def test_a_folder_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "gone") == []


def test_bad_records_are_left_out_and_named_on_request(tmp_path: Path, record: Record) -> None:
    said: list[str] = []
    path = write_record(record, tmp_path)
    (tmp_path / "copy.json").write_bytes(path.read_bytes())
    (tmp_path / "torn.json").write_bytes(path.read_bytes()[:-9])
    (tmp_path / "torn.json.bad").touch()
    assert read_records(tmp_path, said.append) == [record]
    assert [text.partition(".json")[0] for text in said] == [f"record {tmp_path / name}" for name in ("copy", "torn")]


def test_a_damaged_record_is_set_aside_before_its_name_is_used(tmp_path: Path, record: Record) -> None:
    said: list[str] = []
    path = write_record(record, tmp_path)
    torn = path.read_bytes()[:-9]
    path.write_bytes(torn)
    assert RunResult(record, STATE).write(tmp_path, said.append) == path
    assert read_record(path) == record
    assert path.with_name(f"{path.name}.bad").read_bytes() == torn
    assert len(said) == 1
    assert said[0].startswith(f"record {path}: ")
    assert said[0].endswith(f"; it is now {path.name}.bad")


def test_a_whole_record_makes_room_for_its_successor(tmp_path: Path, record: Record) -> None:
    said: list[str] = []
    for _ in range(2):
        RunResult(record, STATE).write(tmp_path, said.append)
    assert (len(list(tmp_path.iterdir())), said) == (2, [])


def test_a_record_of_a_later_srq_is_never_overwritten(tmp_path: Path, record: Record) -> None:
    path = write_record(record, tmp_path)
    later = path.read_text().replace('"schema_version": 2', '"schema_version": 3')
    path.write_text(later)
    with pytest.raises(SrqError, match=r"schema version 3; this srq reads 2; it is not overwritten"):
        RunResult(record, STATE).write(tmp_path, pytest.fail)
    assert path.read_text() == later
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_result_is_its_record_and_the_state_that_the_record_names(tmp_path: Path, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    assert path.name == record_name(record.spec, record.hashes)
    assert state_path(path, record).name == f"{path.stem}.{record.state_sha256[:12]}.safetensors"
    assert state_path(path, record).read_bytes() == STATE
    assert read_result(path) == RunResult(record, STATE)


def test_a_record_without_its_state_is_no_result(tmp_path: Path, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    state_path(path, record).unlink()
    with pytest.raises(SrqError) as caught:
        read_result(path)
    assert str(caught.value) == (f"record {path} lacks its state {state_path(path, record).name}; measure again")


@pytest.mark.parametrize("damaged", [b"", STATE[:-1], STATE + b" ", STATE.replace(b"state", b"stale")])
def test_a_state_of_another_student_is_refused(tmp_path: Path, record: Record, damaged: bytes) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    state_path(path, record).write_bytes(damaged)
    with pytest.raises(SrqError) as caught:
        read_result(path)
    state = state_path(path, record)
    assert str(caught.value) == f"state {state} is not that of the record {path.name}; measure again"


def test_a_folder_in_place_of_a_state_is_an_expected_failure(tmp_path: Path, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    state_path(path, record).unlink()
    state_path(path, record).mkdir()
    with pytest.raises(SrqError, match=rf"^cannot read state {state_path(path, record)}: Is a directory$"):
        read_result(path)


def test_a_huge_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record) -> None:
    path = RunResult(record, STATE).write(tmp_path, pytest.fail)
    monkeypatch.setattr(records, "LARGEST_STATE", len(STATE))
    assert read_result(path).state == STATE
    monkeypatch.setattr(records, "LARGEST_STATE", len(STATE) - 1)
    with pytest.raises(SrqError, match=r"\.safetensors is larger than \d+ KiB, the limit for such a file"):
        read_result(path)


def test_another_result_of_the_same_run_leaves_a_young_state_and_removes_an_old_one(
    tmp_path: Path, record: Record
) -> None:
    """The record of a young one may be about to be written by another process."""
    first = RunResult(record, STATE)
    path = first.write(tmp_path, pytest.fail)
    other = RunResult(record.model_copy(update={"state_sha256": hashlib.sha256(b"other").hexdigest()}), b"other")
    assert other.write(tmp_path, pytest.fail) == path
    assert state_path(path, record).read_bytes() == STATE
    assert read_result(path) == other

    long_ago = time.time() - ABANDONED - 60
    for each in (record, other.record):
        os.utime(state_path(path, each), (long_ago, long_ago))
    neighbour = tmp_path / f"{path.stem}0.{SHA['a'][:12]}.safetensors"  # of a run whose name begins alike
    neighbour.touch()
    os.utime(neighbour, (long_ago, long_ago))
    other.write(tmp_path, pytest.fail)
    assert sorted(tmp_path.iterdir()) == sorted([path, state_path(path, other.record), neighbour])
    assert read_result(path) == other


def test_a_renamed_record_is_refused(tmp_path: Path, record: Record) -> None:
    path = write_record(record, tmp_path)
    path.rename(tmp_path / "copy.json")
    with pytest.raises(SrqError, match=rf"copy\.json is misnamed; expected {path.name}$"):
        read_records(tmp_path)


def suite(**values: Any) -> Suite:
    return Suite(
        name="sample",
        model="swinir-light",
        weights={2: Path("/weights/x2.safetensors")},
        calibration=Calibration(source=DataSource(photos=("chelsea",)), patches=32, size=64),
        test={"Set5": DataSource(hr=Path("/data/Set5"))},
        **values,
    )


def test_a_run_is_resolved() -> None:
    run = RunSpec(method="dobi+dqc", bits=Bits.parse("3"), scale=2, seed=7, suite=suite(padding="reflect"))
    spec = ResolvedSpec.of(run, ("dobi", "dqc"), {"dobi": {"K": 100}, "dqc": {}}, "all")
    assert spec.model_dump(mode="json") == {
        "method": "dobi+dqc",
        "parts": ["dobi", "dqc"],
        "bits": {"weight": 3, "activation": 3},
        "scale": 2,
        "seed": 7,
        "model": "swinir-light",
        "suite": "sample",
        "options": {"dobi": {"K": 100}, "dqc": {}},
        "padding": "reflect",
        "calibration": {"patches": 32, "size": 64},
        "scope": "all",
    }


@pytest.mark.parametrize("value", ["/home/me/bounds", math.inf, object()])
def test_an_option_that_no_record_can_hold_is_refused_before_the_run(value: object) -> None:
    run = RunSpec(method="minmax", bits=Bits.parse("3"), scale=2, seed=0, suite=suite())
    with pytest.raises(SrqError, match=r"^a record cannot hold this run: options\.minmax\.x"):
        ResolvedSpec.of(run, ("minmax",), {"minmax": {"x": value}}, "linear")


def test_a_record_without_a_scope_is_of_scope_linear_and_has_the_same_name(record: Record) -> None:
    """Such were made before there was a choice."""
    old = content()
    del old["spec"]["scope"]
    assert parsed(old) == parsed(content())
    assert parsed(old).key == parsed(content()).key != parsed(changed("spec", "scope", to="all")).key


def test_values_keep_their_types() -> None:
    value = changed("figures", to={"a": True, "b": 1, "c": 1.0, "d": "1", "e": [1.0, 2.0]})
    figures = parsed(value).figures
    assert list(map(type, figures.values())) == [bool, int, float, str, tuple]
    assert parsed(value).model_dump(mode="json")["figures"] == value["figures"]


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


@same_folder
@given(
    psnr=st.floats(-1e299, 1e299) | st.just(math.inf),
    figures=st.dictionaries(st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False)),
    note=st.text().filter(lambda text: text[:1] not in ("/", "~", "\\") and ":" not in text),
)
def test_every_valid_record_survives_its_file(
    tmp_path: Path, psnr: float, figures: dict[str, float], note: str
) -> None:
    of = {"Set5": DatasetScores.of({"baby": {"psnr": psnr}, "bird": {"psnr": psnr}})}
    whole = parsed(content())
    record = Record.model_validate(
        whole.model_copy(update={"scores": of, "figures": {**figures, "note": note}}).model_dump()
    )
    assert read_record(write_record(record, tmp_path)) == record


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


def test_a_new_record_has_the_version_that_is_read(record: Record) -> None:
    assert record.schema_version == SCHEMA_VERSION


def test_a_copy_with_another_spec_has_a_key_of_its_own():
    known = Record.model_validate_json(json.dumps(content()), strict=True)
    other = known.model_copy(update={"spec": known.spec.model_copy(update={"seed": known.spec.seed + 1})})
    assert known.key != other.key
    assert other.model_copy().key == other.key
