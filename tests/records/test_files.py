"""Records survive the file, and a folder of them is read in the order of their names."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_record import changed, content, mixed, parsed

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.fields import LARGEST
from sr_ptq_bench.records.files import (
    read_record,
    read_records,
    record_name,
    write_record,
)
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.records.scores import DatasetScores

same_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


def test_what_is_written_is_read_again(tmp_path: Path, record: Record) -> None:
    path = write_record(record, tmp_path)
    assert read_record(path) == record
    assert read_records(tmp_path) == [record]


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


def test_records_are_read_in_the_order_of_their_names(tmp_path: Path, record: Record) -> None:
    others = [parsed(changed("spec", "method", to=method)) for method in ("percentile", "minmax")]
    names = sorted(write_record(each, tmp_path).name for each in [record, *others])
    assert [record_name(each.spec, each.hashes) for each in read_records(tmp_path)] == names
    assert [each.spec.method for each in read_records(tmp_path)] == ["2dquant", "minmax", "percentile"]


def test_a_folder_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "gone") == []


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)
    with pytest.raises(SrqError) as caught:
        read_records(folder)
    assert str(caught.value) == f"cannot read {folder}: File name too long"


def test_bad_records_are_left_out_and_named_on_request(tmp_path: Path, record: Record) -> None:
    said: list[str] = []
    path = write_record(record, tmp_path)
    (tmp_path / "copy.json").write_bytes(path.read_bytes())
    (tmp_path / "torn.json").write_bytes(path.read_bytes()[:-9])
    (tmp_path / "torn.json.bad").touch()
    assert read_records(tmp_path, said.append) == [record]
    assert [text.partition(".json")[0] for text in said] == [f"record {tmp_path / name}" for name in ("copy", "torn")]


def test_a_renamed_record_is_refused(tmp_path: Path, record: Record) -> None:
    path = write_record(record, tmp_path)
    path.rename(tmp_path / "copy.json")
    with pytest.raises(SrqError, match=rf"copy\.json is misnamed; expected {path.name}$"):
        read_records(tmp_path)


@same_folder
@given(
    psnr=st.floats(-LARGEST / 10, LARGEST / 10) | st.just(math.inf),
    figures=st.dictionaries(st.sampled_from("abc"), st.floats(-LARGEST, LARGEST)),
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
