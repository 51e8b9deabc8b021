"""What a record holds: scores with their means, values of their types, a run that is resolved."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from whole_record import changed, content, parsed, scores

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.run_spec import RunSpec
from sr_ptq_bench.protocol.suite import Calibration, DataSource, Suite
from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.files import (
    read_record,
    write_record,
)
from sr_ptq_bench.records.record import Record
from sr_ptq_bench.records.resolved import ResolvedSpec
from sr_ptq_bench.records.scores import DatasetScores


def test_a_record_from_before_absent_sets_were_told_has_none() -> None:
    value = content()
    del value["not_scored"]
    assert parsed(value) == parsed(content())


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


def test_values_keep_their_types() -> None:
    value = changed("figures", to={"a": True, "b": 1, "c": 1.0, "d": "1", "e": [1.0, 2.0]})
    figures = parsed(value).figures
    assert list(map(type, figures.values())) == [bool, int, float, str, tuple]
    assert parsed(value).model_dump(mode="json")["figures"] == value["figures"]


def test_a_new_record_has_the_version_that_is_read(record: Record) -> None:
    assert record.schema_version == SCHEMA_VERSION
