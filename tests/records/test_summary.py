"""What a reader sees at the end of a run."""

from __future__ import annotations

from made_records import record

from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.records.summary import score_table


def test_a_metric_that_one_test_set_lacks_is_a_dash() -> None:
    scores = {
        "Set5": DatasetScores.of({"baby": {"psnr": 30.0, "lpips": 0.1}}),
        "small": DatasetScores.of({"dot": {"psnr": 20.0, "niqe": 4.0}}),
    }
    references = dict.fromkeys(("fp", "bicubic", "bilinear"), scores)
    _, heads, rows = score_table(record(scores=scores, references=references))
    by_name = {row[0]: dict(zip(heads, row[1:], strict=True)) for row in rows}
    (of,) = {column for row in by_name.values() for column in row if "minmax" in column}
    assert {name: row[of] for name, row in by_name.items()} == {
        "Set5 PSNR": "30.00", "Set5 LPIPS": "0.1000", "Set5 NIQE": "–",
        "small PSNR": "20.00", "small LPIPS": "–", "small NIQE": "4.0000",
    }  # fmt: skip
