"""What the ablations vary, and the tables of their records."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.records.complexity import Complexity
from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.record import Environment, MostLevels, Record, Scope
from sr_ptq_bench.records.resolved import Hashes, Patches, ResolvedSpec
from sr_ptq_bench.records.scores import DatasetScores, References
from sr_ptq_bench.tables.ablation import PUBLISHED, STAGES, VALUES, page, settings, without_parts
from sr_ptq_bench.tables.formats import markdown, render


def record(psnr: float, method: str = "2dquant", *, bits: str = "4", dataset: str = "Set5", ssim=0.9) -> Record:
    scores = {dataset: DatasetScores.of({"baby": {"psnr": psnr} | ({"ssim": ssim} if ssim else {})})}
    return Record(
        schema_version=SCHEMA_VERSION,
        spec=ResolvedSpec(
            method=method, parts=(method,), bits=Bits.parse(bits), scale=2, seed=7, model="swinir-light", suite="mine",
            options={method: {}}, padding="flip", calibration=Patches(patches=32, size=64),
        ),
        scope=Scope(short="linear+matmul", description="Linear layers", sites=1, quantized_weights=1, parameters=2),
        complexity=Complexity(parameters={32: 1, 4: 1}, macs={32: 1, 4: 1}, lr_pixels=1),
        scores=scores,
        references=References(fp=scores, bicubic=scores, bilinear=scores),
        figures={},
        environment=Environment(versions={"torch": "2"}, device="cpu", threads=1, platform="Linux", cpu="x"),
        hashes=Hashes(weights="a" * 64, calibration="b" * 64, test={dataset: "c" * 64}),
        state_sha256="d" * 64,
        timings={"total": 1.0},
        peak_memory_bytes=1,
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def cells(text: str) -> list[list[str]]:
    """The cells of a page's one table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if ":-" not in line]


@pytest.mark.parametrize("name", ["lr", "batch"])
def test_the_paper_s_values_are_the_default(name):
    found = settings(name)
    assert [cell.label for cell in found] == list(VALUES[name]) == list(PUBLISHED[name])
    assert [cell.options for cell in found] == [{f"dqc.{name}": value} for value in VALUES[name]]
    assert {cell.method for cell in found} == {"2dquant"}


def test_the_stages_are_four_methods():
    assert [(cell.label, cell.method, cell.options) for cell in settings("stages")] == [
        (method, method, {}) for method in ("minmax", "dobi", "minmax+dqc", "2dquant")
    ]
    assert list(STAGES) == list(PUBLISHED["stages"])


def test_values_of_one_s_own():
    found = settings("lr", "0.01, 3e-2")
    assert [(cell.label, cell.options) for cell in found] == [
        ("1e-2", {"dqc.lr": "0.01"}),  # as the paper spells it
        ("3e-2", {"dqc.lr": "3e-2"}),
    ]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("lr", "fast", "no value 'fast'; expected numbers"),
        ("lr", "", "no value ''; expected numbers"),
        ("lr", "1e-2,", "no value ''; expected numbers"),
        ("batch", "4;8", "no value '4;8'; expected numbers"),
        ("lr", "0.01,1e-2", "name a number twice"),
        ("stages", "1", "the stages have no values"),
    ],
)
def test_impossible_values_are_refused(name, values, said):
    with pytest.raises(SrqError, match=said):
        settings(name, values)


def test_a_value_has_a_column():
    text = markdown(page("lr", {"1e-1": record(37.004), "1e-2": record(37.196), "3e-2": record(37.2, ssim=0.91)}))
    assert cells(text) == [
        ["DQC's learning rate", "1e-1", "1e-2", "3e-2"],
        ["Set5 PSNR", "37.00", "**37.20**", "**37.20**"],
        ["Set5 SSIM", "0.9000", "0.9000", "**0.9100**"],
        ["Set5 PSNR, published, official weights", "37.82", "37.87", "–"],
    ]
    assert "# swinir-light x2, 4/4 bits, suite mine: DQC's learning rate\n" in text
    assert "no measure for scores on other weights" in text
    assert "- Seed: 7.\n" in text


def test_a_value_whose_levels_are_not_bounded_is_never_the_best():
    most = MostLevels(site="fc2.input", bits=4, levels=37)
    loose = record(33.0).model_copy(update={"most_levels": most})
    (_, psnr, _, *_) = cells(markdown(page("lr", {"1e-1": record(31.0), "1e-2": record(30.0), "1e-3": loose})))
    assert psnr[1:] == ["**31.00**", "30.00", "33.00"]


def test_the_stages_have_check_marks():
    records = {method: record(psnr, method) for psnr, method in zip((34, 37, 36, 38), STAGES, strict=True)}
    assert cells(markdown(page("stages", records))) == [
        ["DOBI", "DQC", "Method", "Set5 PSNR", "Set5 SSIM", "Set5 PSNR, published, official weights"],
        ["–", "–", "minmax", "34.00", "**0.9000**", "34.39"],
        ["✓", "–", "dobi", "37.00", "**0.9000**", "37.44"],
        ["–", "✓", "minmax+dqc", "36.00", "**0.9000**", "37.32"],
        ["✓", "✓", "2dquant", "**38.00**", "**0.9000**", "37.87"],
    ]


@pytest.mark.parametrize("other", [{"bits": "2"}, {"dataset": "photos"}])
def test_published_scores_stand_only_beside_their_own_bits_and_test_set(other):
    text = markdown(page("batch", {"4": record(37.0, **other)}))
    assert "ublished" not in text
    assert len(cells(text)) == 3


def test_a_metric_that_is_missing_is_a_dash():
    assert cells(markdown(page("batch", {"4": record(37.0, ssim=None)})))[2] == ["Set5 SSIM", "–"]


def test_the_parts_of_a_method():
    found = without_parts("a+b", {"norms": {"b.lr": 0}, "noise": {"b.noise": False}})
    assert [(cell.label, cell.method, cell.options) for cell in found] == [
        ("a+b", "a+b", {}),
        ("without norms", "a+b", {"b.lr": 0}),
        ("without noise", "a+b", {"b.noise": False}),
    ]


def test_a_method_without_parts():
    with pytest.raises(SrqError, match="method 'minmax' name no parts"):
        without_parts("minmax", {})


def test_a_part_has_a_row():
    text = markdown(page("parts", {"mine": record(37.0, "mine"), "without norms": record(36.5, "mine")}))
    assert cells(text) == [
        ["Parts", "Set5 PSNR", "Set5 SSIM", "Calibration"],
        ["mine", "**37.00**", "**0.9000**", "0 s"],
        ["without norms", "36.50", "**0.9000**", "0 s"],
    ]
    assert "suite mine: the parts of mine\n" in text
    assert "ublished" not in text


def test_other_formats():
    made = page("stages", {"minmax": record(34.0, "minmax"), "dobi": record(37.0, "dobi")})
    lines = json.loads(render([made], "json"))
    assert [(line["setting"], line["ablation"], line["psnr"], line["bits"]) for line in lines] == [
        ("minmax", "stages", 34.0, "w4a4"),
        ("dobi", "stages", 37.0, "w4a4"),
    ]
    assert r"$\checkmark$" in render([made], "latex")
