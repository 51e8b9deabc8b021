"""A run before it begins: its record's name, what is refused, and which images are at hand."""

from __future__ import annotations

import os

import pytest
from refusals import error_of
from safetensors.torch import load_file, save_file
from tiny import FILE, comparable, measured, plugin, plugins, prepare, run, write_images

from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.library.library import Library
from sr_ptq_bench.library.registry import ImageSet, Registry, Weights
from sr_ptq_bench.progress import SILENT
from sr_ptq_bench.records.files import record_name


def ready(suite, *more, **spec):
    return prepare(suite.spec(**spec), plugins(*more))


# What decides the record's name


def test_the_name_is_known_before_the_run(tiny_suite):
    prepared = ready(tiny_suite, method="percentile", p="0.01")
    record = measured(prepared).record
    assert prepared.record_name == record_name(record.spec, record.hashes)
    assert prepared.record_name.startswith("percentile-w4a4-x2-s0-")


def test_the_same_spec_has_the_same_name(tiny_suite):
    assert ready(tiny_suite).record_name == ready(tiny_suite).record_name


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"bits": "3"}, {"bits": "w4a8"}, {"method": "dobi"}, {"method": "percentile", "p": "0.1"}]
)
def test_what_the_user_chooses_is_in_the_name(tiny_suite, change):
    base = {"method": change.get("method", "minmax")} if "p" in change else {}
    assert ready(tiny_suite, **change).record_name != ready(tiny_suite, **base).record_name


@pytest.mark.parametrize("change", [{"padding": "reflect"}, {"name": "other"}])
def test_what_the_suite_says_is_in_the_name(tiny_suite, change):
    before = ready(tiny_suite).record_name
    tiny_suite.change(**change)
    assert ready(tiny_suite).record_name != before


@pytest.mark.parametrize("part", ["test", "calibration"])
def test_what_the_images_hold_is_in_the_name(tiny_suite, part):
    before = ready(tiny_suite).record_name
    write_images(tiny_suite.folder / part, **{"first" if part == "test" else "a": (44, 44)})
    assert ready(tiny_suite).record_name != before


def test_what_the_weights_hold_is_in_the_name(tiny_suite):
    before = ready(tiny_suite).record_name
    path = tiny_suite.folder / "weights.safetensors"
    tensors = load_file(path)
    tensors["fc1.bias"][0] += 1
    save_file(tensors, path)
    assert ready(tiny_suite).record_name != before


def test_what_a_foreign_plugin_s_file_holds_is_in_the_name(tiny_suite, tmp_path):
    def name():
        return prepare(tiny_suite.spec("mine"), Plugins([FILE, path])).record_name

    path = tmp_path / "mine.py"
    path.write_text("from sr_ptq_bench import hookimpl\n@hookimpl\ndef srq_init_bounds(): pass\n")
    before = name()
    assert name() == before
    path.write_text(path.read_text() + "# a comment\n")
    assert name() == before
    path.write_text(path.read_text() + "MORE = 1\n")
    assert name() != before


def test_a_plugin_that_takes_no_part_is_not_in_the_name(tiny_suite):
    idle = plugin("idle", init_bounds=lambda: None)
    assert ready(tiny_suite, idle).record_name == ready(tiny_suite).record_name


def test_a_metric_is_in_the_name(tiny_suite):
    metric = plugin("mine", evaluate=lambda: {"mine": 1.0})
    assert ready(tiny_suite, metric).record_name != ready(tiny_suite).record_name


def test_where_the_suite_lies_is_not_in_the_name(tiny_suite, tmp_path):
    before = ready(tiny_suite).record_name
    tiny_suite.folder.rename(tmp_path / "elsewhere")
    moved = type(tiny_suite)(tmp_path / "elsewhere", tiny_suite.table)
    assert ready(moved).record_name == before


# Refused before any work


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": "tinny"}, "no plugin loads a model called 'tinny'; asked: "),
        ({"weights": {"3": "weights.safetensors"}}, "suite 'tiny' has no weights for x2; it has x3"),
        (
            {"calibration": {"source": {"hr": "calibration"}, "size": 24}},
            "dataset 'calibration': LR image 'a' is 22x20, too small for patches of 24; ",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_prepare(tiny_suite, change, expected):
    tiny_suite.change(**change)
    assert error_of(ready, tiny_suite).startswith(expected)


def test_an_image_smaller_than_one_window_is_refused_by_prepare(tiny_suite):
    write_images(tiny_suite.folder / "test", third=(6, 60))
    assert error_of(ready, tiny_suite) == (
        "dataset 'noise': LR image 'third' is 30x3, smaller than one window of 4x4; remove it"
    )


@pytest.mark.parametrize("name", ["~mine", "\\mine", os.fsdecode(b"no-utf8-\xff")])
def test_an_image_whose_name_no_record_can_hold_is_refused_by_prepare(tiny_suite, name):
    image = tiny_suite.folder / "test" / "first.png"
    image.with_name(f"{name}.png").write_bytes(image.read_bytes())
    said = f"dataset 'noise': no record can hold the image name {name!r}; rename it"
    assert error_of(ready, tiny_suite) == said


def test_patches_smaller_than_one_window_are_refused_by_prepare(tiny_suite, monkeypatch):
    loader = plugins().plugins["tiny"].module
    found = plugins()
    monkeypatch.setattr(found, "load_model", lambda *a: (wide(loader.srq_load_model(*a)), "tiny"))
    assert error_of(prepare, tiny_suite.spec(), found) == (
        "calibration patches of 8 are smaller than one window of 10x10; choose a larger size"
    )


def wide(model):
    from dataclasses import replace

    return replace(model, size_multiple=10)


# What is named and not at hand


@pytest.fixture
def library(tmp_path, tiny_suite):
    """A library with the set `Near`, which is the tiny suite's test images, and without `Far`."""
    names = {"first": r"\d+x\d+", "second": r"\d+x\d+"}
    entry = ImageSet(count=2, home="https://home", what="the images", terms="free", names=names)
    library = Library(tmp_path / "library", SILENT, Registry(weights={}, images={"Near": entry, "Far": entry}))
    library.add("Near", tiny_suite.folder / "test")
    return library


def test_a_set_by_name_is_scored_as_its_folder_is(tiny_suite, library, tmp_path):
    expected = run(tiny_suite, home=tmp_path / "a")
    tiny_suite.change(test={"noise": {"datasets": ["Near"]}})
    record = measured(prepare(tiny_suite.spec(), library=library), tmp_path / "b").record
    assert comparable(record) == comparable(expected)
    assert record.not_scored == ()


def test_sets_that_are_not_at_hand_are_not_scored(tiny_suite, library, tmp_path):
    tiny_suite.change(test={"far": {"datasets": ["Far"]}, "near": {"datasets": ["Near"]}})
    prepared = prepare(tiny_suite.spec(), library=library)
    assert prepared.not_scored == ("far",)
    record = measured(prepared).record
    assert list(record.scores) == list(record.hashes.test) == ["near"]
    assert record.not_scored == ("far",)


def test_a_set_that_has_come_gives_another_record(tiny_suite, library):
    tiny_suite.change(test={"far": {"datasets": ["Far"]}, "near": {"datasets": ["Near"]}})
    before = prepare(tiny_suite.spec(), library=library).record_name
    library.add("Far", tiny_suite.folder / "test")
    assert prepare(tiny_suite.spec(), library=library).record_name != before


def test_nothing_to_score_is_refused(tiny_suite, library):
    tiny_suite.change(test={"far": {"datasets": ["Far"]}, "both": {"datasets": ["Near", "Far"]}})
    assert error_of(prepare, tiny_suite.spec(), library=library) == (
        "suite 'tiny': no test set is available of far, both: take the images from https://home (free), "
        "then `srq data import Far DIR`"
    )


def test_missing_calibration_images_are_refused(tiny_suite, library):
    tiny_suite.change(calibration={"source": {"datasets": ["Far"]}, "patches": 4, "size": 8})
    assert error_of(prepare, tiny_suite.spec(), library=library) == (
        "suite 'tiny': calibration images Far are missing: take the images from https://home (free), "
        "then `srq data import Far DIR`"
    )


def test_calibration_images_by_name(tiny_suite, library):
    tiny_suite.change(calibration={"source": {"datasets": ["Near"]}, "patches": 4, "size": 8})
    by_name = prepare(tiny_suite.spec(), library=library)
    tiny_suite.change(calibration={"source": {"hr": "test"}, "patches": 4, "size": 8})
    assert by_name.record_name == ready(tiny_suite).record_name


def test_published_weights_are_fetched_at_first_use(tiny_suite, web, tmp_path):
    url = web.serve("/tiny.safetensors", (tiny_suite.folder / "weights.safetensors").read_bytes())
    library = Library(tmp_path / "library", SILENT, Registry(weights={"tiny-x2": Weights(url=url)}, images={}))
    expected = ready(tiny_suite).record_name
    tiny_suite.change(weights={"2": {"download": "tiny-x2"}})
    assert [prepare(tiny_suite.spec(), library=library).record_name for _ in range(2)] == [expected] * 2
    assert len(web.requests) == 1
