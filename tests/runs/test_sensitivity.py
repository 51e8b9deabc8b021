"""What each group of sites costs, and how they are ranked."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import SITES, measured, prepare, session

from sr_ptq_bench import SrqError
from sr_ptq_bench.quantization.student import quantizers_off
from sr_ptq_bench.records.sensitivity import Group, Sensitivities
from sr_ptq_bench.runs.restore import load_or_calibrate
from sr_ptq_bench.runs.sensitivity import grouped, only_enabled, psnr_to_fp, psnr_to_hr, sensitivities
from sr_ptq_bench.tables.formats import markdown
from sr_ptq_bench.tables.sensitivity import page


def no_progress(_done, _total, _note=""):
    pass


@pytest.fixture
def run(tiny_suite):
    return prepare(tiny_suite.spec("minmax", bits="2"))


@pytest.fixture
def student(run, tmp_path):
    return load_or_calibrate(run, session(), tmp_path)


def test_groups_by_site_are_the_sites_in_network_order(student):
    assert grouped(student, "site") == {name: [name] for name in student.quantizers}
    assert set(grouped(student, "site")) == set(SITES)


def test_groups_by_layer_join_a_layer_s_weight_and_input(student):
    assert grouped(student, "layer") == {
        "fc1": ["fc1.weight", "fc1.input"],
        "fc2": ["fc2.weight", "fc2.input"],
        "query": ["query"],
        "key": ["key"],
    }


def test_groups_by_producer_hold_every_site_once(student):
    groups = grouped(student, "producer")
    assert groups["parameter"] == ["fc1.weight", "fc2.weight"]
    assert groups["gelu"] == ["fc2.input"]
    assert sorted(name for names in groups.values() for name in names) == sorted(SITES)


def test_the_teacher_itself_is_infinitely_like_itself(run, student):
    psnr = psnr_to_fp(run, 2)
    assert psnr(run.teacher) == math.inf
    with quantizers_off(student):
        assert psnr(student.model) == math.inf
    assert psnr(student.model) < 60


def test_psnr_to_fp_is_the_psnr_of_the_outputs(run, student):
    (lr,) = run.batches.fixed(4)
    with torch.inference_mode():
        error = (student(lr[:3]) - run.teacher(lr[:3])).square().mean()
    assert psnr_to_fp(run, 3)(student.model) == pytest.approx(-10 * math.log10(float(error)), rel=1e-6)


def test_more_patches_than_there_are(run):
    with pytest.raises(SrqError, match="9 patches are more than the 4 of the calibration"):
        psnr_to_fp(run, 9)


def test_psnr_to_hr_is_the_score_of_a_table(run, student, tmp_path):
    record = measured(run).record
    assert psnr_to_hr(run, "noise")(student.model) == pytest.approx(record.scores["noise"].mean["psnr"])
    assert psnr_to_hr(run, "noise")(run.teacher) == pytest.approx(record.references.fp["noise"].mean["psnr"])


def test_each_group_is_quantized_alone_and_left_out(run, student):
    seen = []

    def watch(model):
        assert model is student.model
        # Weights are quantized beforehand, and their quantizers off meanwhile.
        changed = {name for name in student.weights if not torch.equal(student.weights[name], original[name])}
        seen.append(changed | {name for name, q in student.quantizers.items() if q.enabled})
        return 0.0

    original = {name: weight.clone() for name, weight in student.weights.items()}
    sensitivities(student, "site", watch, "dB", no_progress)
    every = set(SITES)
    expected = [names for name in student.quantizers for names in ({name}, every - {name})]
    assert seen == [*expected, every]


def test_the_student_is_left_as_it_was(run, student):
    before = psnr_to_fp(run, 1)(student.model)
    sensitivities(student, "producer", psnr_to_fp(run, 1), "dB", no_progress)
    assert all(quantizer.enabled for quantizer in student.quantizers.values())
    assert psnr_to_fp(run, 1)(student.model) == before


def test_an_error_leaves_the_quantizers_as_they_were(student):
    with pytest.raises(ZeroDivisionError), only_enabled(student, {"query"}):
        raise ZeroDivisionError
    assert all(quantizer.enabled for quantizer in student.quantizers.values())


def test_the_most_sensitive_come_first_and_twice_the_same(run, student):
    one, other = (sensitivities(student, "site", psnr_to_fp(run, 2), "dB", no_progress) for _ in range(2))
    assert one == other
    only = [group.only for group in one.groups]
    assert only == sorted(only)
    assert len(set(only)) > 1
    assert one.all_quantized == psnr_to_fp(run, 2)(student.model)


def test_the_page_says_what_was_measured():
    groups = (Group("a", "weight", 2, 20.0, 31.239), Group("b", "activation", 1, math.inf, 30.0))
    found = page(Sensitivities(groups, 30.0, "PSNR of x"), "Title", "layer", {"Weights": "w"})
    text = markdown(found)
    assert "|      1 | a       | weight     |       2 |            20.00 |               31.24 |" in text
    assert "+1.24 |" in text
    assert "inf |" in text
    assert "- Everything quantized: 30.00 dB.\n- All columns: PSNR of x.\n- Weights: w.\n" in text
    assert found.lines[0] == {
        "rank": 1, "layer": "a", "role": "weight", "sites": 2, "psnr_only": 20.0, "psnr_without": 31.239,
        "psnr_all": 30.0,
    }  # fmt: skip
