"""Pictures and sites of stored states, against what a run itself knows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import SITES, measured, plugin, plugins, prepare, session

from sr_ptq_bench.data.images.pixels import read_image
from sr_ptq_bench.evaluation.metrics import srq_evaluate
from sr_ptq_bench.gallery import gallery as made_by
from sr_ptq_bench.gallery.gallery import gallery
from sr_ptq_bench.gallery.pictures import ImageFolder
from sr_ptq_bench.gallery.sites import changes
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.records.files import name_of, state_path
from sr_ptq_bench.records.sensitivity import Group, Sensitivities, write_sensitivity


def halved(student: Any) -> None:
    """Half of every weight of fc1; its bias and the rest stay."""
    with torch.no_grad():
        student.weights["fc1.weight"].mul_(0.5)


@pytest.fixture
def shown(tiny_suite, tmp_path):
    """The gallery of records that lie in a folder, with what it left out."""

    def show(*specs: dict[str, Any], also: Any = lambda paths: None) -> Any:
        halving = plugin("halving", transform_model=halved)
        known = plugins(halving)
        results = tmp_path / "results"
        found = [measured(prepare(tiny_suite.spec(**spec), known)) for spec in specs]
        paths = [result.write(results, lambda line: None) for result in found]
        also(paths)
        left_out: list[str] = []
        records = [result.record for result in found]
        suite = tiny_suite.spec().suite
        made = gallery(records, results, suite, session(known=known), tmp_path / "site", left_out.append)
        return made, records, left_out

    return show


def test_a_picture_has_the_psnr_of_its_record(shown, tmp_path, tiny_suite):
    made, (record,), left_out = shown({"method": "minmax"})
    assert left_out == []
    assert [view.name for view in made.images] == ["first", "second"]
    for view in made.images:
        folder = tmp_path / "site" / view.folder
        hr = read_image(folder / "hr.png")
        assert hr.shape == (view.height, view.width, 3)
        scores = {
            made.students[record.key].picture: record.scores, "fp": record.references.fp,
            "bicubic": record.references.bicubic,
        }  # fmt: skip
        for picture, recorded in scores.items():
            psnr = srq_evaluate(read_image(folder / f"{picture}.png"), hr, 2)["psnr"]
            assert psnr == recorded["noise"].images[view.name]["psnr"]


def test_a_crop_is_cut_from_the_pictures_where_they_differ(shown, tmp_path):
    made, records, _ = shown({"method": "minmax", "bits": "2"}, {"method": "percentile", "bits": "2"})
    view = made.images[0]
    crop = view.crops["w2a2"]
    names = [made.students[record.key].picture for record in records]
    assert list(crop.psnr) == ["bicubic", "fp", *names]
    for name in ("hr", *crop.psnr):
        whole, part = (read_image(tmp_path / "site" / view.folder / f"{of}.png") for of in (name, f"w2a2-{name}"))
        assert np.array_equal(part, crop.box.of(whole))


def test_bounds_and_shares_are_those_of_the_student(shown):
    made, (record,), _ = shown({"method": "minmax"})
    (sites,) = made.sites.values()
    assert [site.name for site in sites] == SITES
    for site in sites:
        bounds = made.students[record.key].bounds[site.name]
        assert (bounds.lower, bounds.upper) == pytest.approx((site.minimum, site.maximum), rel=1e-6)
        assert (bounds.below, bounds.above) == (0, 0)
        assert max(site.histogram) == 1
        assert min(site.histogram) >= 0


def test_what_a_method_changed_is_said_by_kind(shown):
    made, records, _ = shown({"method": "minmax"}, {"method": "halving+minmax"})
    assert made.students[records[0].key].changes == []
    (change,) = made.students[records[1].key].changes
    assert (change.kind, change.changed, change.largest) == ("weights", 1, "fc1.weight")
    assert change.largest_relative == pytest.approx(0.5)
    assert 0 < change.relative < 0.5


def test_norms_and_biases_are_kinds_of_their_own(tiny_suite):
    run = prepare(tiny_suite.spec())
    run.teacher.network.norm = torch.nn.LayerNorm(3)
    student = quantize(run.teacher, run.spec.bits)
    with torch.no_grad():
        student.network.norm.weight.mul_(3)
        student.network.head.bias.zero_()
    found = {change.kind: change for change in changes(student, run.teacher)}
    assert set(found) == {"biases", "norms"}
    assert found["norms"].relative == pytest.approx(2)  # the bias of a new norm is zero
    assert found["biases"].largest_relative == pytest.approx(1)


def test_records_without_a_state_are_named(shown):
    def remove(paths):
        for path in paths[1:]:
            next(path.parent.glob(f"{path.stem}.*.safetensors")).unlink()

    made, records, left_out = shown({"method": "minmax"}, {"method": "percentile"}, also=remove)
    assert set(made.students) == {records[0].key}
    assert len(left_out) == 1
    assert left_out[0].startswith(f"{name_of(records[1])}: ")
    assert "lacks its state" in left_out[0]


def test_without_any_state_there_is_no_gallery(shown, tmp_path):
    made, _, left_out = shown({}, also=lambda paths: state_path(paths[0], _record(paths[0])).unlink())
    assert made is None
    assert len(left_out) == 1
    assert not list((tmp_path / "site").glob("*"))


def _record(path: Path) -> Any:
    from sr_ptq_bench.records.files import read_record

    return read_record(path)


def test_pictures_that_are_there_are_not_made_again(shown, monkeypatch):
    shown({"method": "minmax"})

    def fail(*_: Any) -> Any:
        return lambda lr: pytest.fail("made again")

    monkeypatch.setattr(made_by, "network_upscaler", fail)
    made, _, left_out = shown({"method": "minmax"})
    assert left_out == []
    assert len(made.students) == 1


def test_a_picture_with_another_score_than_its_record_is_named(shown, monkeypatch):
    real = made_by.network_upscaler
    monkeypatch.setattr(made_by, "network_upscaler", lambda *of: lambda lr: real(*of)(lr) // 2)
    _, _, left_out = shown({"method": "minmax"})
    assert len(left_out) == 2
    assert "'first' has " in left_out[0]


def test_one_student_is_in_memory_at_a_time(shown, monkeypatch):
    import gc
    import weakref

    alive: list[Any] = []
    real = made_by.restore_recorded

    def restore(*arguments: Any) -> Any:
        gc.collect()
        assert [of for of in alive if of() is not None] == []
        student = real(*arguments)
        alive.append(weakref.ref(student))
        return student

    monkeypatch.setattr(made_by, "restore_recorded", restore)
    shown({"method": "minmax"}, {"method": "percentile"}, {"method": "minmax", "bits": "2"})
    assert len(alive) == 3


def test_stored_sensitivities_come_along(shown):
    def keep(paths):
        groups = (Group("fc1.weight", "weight", 1, 30.5, 20.0), Group("key", "activation", 1, math.inf, 20.0))
        write_sensitivity(Sensitivities(groups, 19.0, "PSNR against FP output"), paths[0])

    made, (record,), _ = shown({}, also=keep)
    student = made.students[record.key]
    assert student.sensitivity == {"fc1.weight": 30.5, "key": math.inf}
    assert student.sensitivity_unit == "PSNR against FP output"


def test_a_damaged_file_of_sensitivities_is_named(shown):
    made, _, left_out = shown({}, also=lambda paths: paths[0].with_suffix(".sensitivity").write_text("{"))
    assert made is None
    assert "damaged" in left_out[0]


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_folder_has_a_safe_name_whatever_the_image_is_called(dataset, image):
    of = type("Dataset", (), {"name": dataset, "names": (image, image + "x"), "sha256": "0" * 64})
    one, other = (ImageFolder(of(), index, Path("x"), "these weights").name for index in range(2))
    assert one != ImageFolder(of(), 0, Path("x"), "other weights").name
    assert set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert 9 <= len(one) <= 49
    assert one != other
