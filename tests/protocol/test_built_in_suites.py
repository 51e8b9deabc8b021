"""The suites and weights that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusals import error_of

from sr_ptq_bench.library.registry import Registry
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.run_spec import RunSpec
from sr_ptq_bench.protocol.suite import Calibration, DataSource, Download, Suite, suite_names


def test_every_built_in_suite_loads():
    assert "sample" in suite_names()
    for name in suite_names():
        assert Suite.load(name).name == name


@pytest.mark.parametrize("name", ["sample", "set5-set14"])
def test_the_packaged_weights_are_there_for_every_scale(name):
    assert all(path.is_file() for path in Suite.load(name).weights.values())
    assert {*Suite.load(name).weights} == {2, 3, 4}


def test_every_name_in_a_built_in_suite_is_in_the_registry():
    registry = Registry.load()
    for suite in map(Suite.load, suite_names()):
        for weights in suite.weights.values():
            assert isinstance(weights, Path) or registry.release(weights.download)
        for source in (suite.calibration.source, *suite.test.values()):
            assert all(registry.image_set(name) for name in source.datasets)


def test_set5_set14_is_sample_on_other_images():
    sample, other = Suite.load("sample"), Suite.load("set5-set14")
    assert {name: source.datasets for name, source in other.test.items()} == {"Set5": ("Set5",), "Set14": ("Set14",)}
    kept = {"name", "description", "test"}
    assert other.model_dump(exclude=kept) == sample.model_dump(exclude=kept)


def test_the_paper_suite_scores_what_the_paper_scores():
    suite = Suite.load("paper")
    assert list(suite.test) == ["Set5", "Set14", "B100", "Urban100", "Manga109"]
    assert suite.weights == {scale: Download(download=f"swinir-light-x{scale}") for scale in (2, 3, 4)}
    assert suite.calibration == Calibration(source=DataSource(datasets=("DIV2K", "Flickr2K")), patches=32, size=64)


def test_no_sample_photo_is_in_both_sets():
    suite = Suite.load("sample")
    tested = {photo for source in suite.test.values() for photo in source.photos}
    assert tested.isdisjoint(suite.calibration.source.photos)


def test_a_run_s_weights_are_those_of_its_scale():
    suite = Suite.load("sample")
    for scale in (2, 3, 4):
        spec = RunSpec(method="minmax", bits=Bits.parse("4"), scale=scale, suite=suite)
        assert spec.weights == suite.weights[scale]


def test_built_in_weights_have_names(tiny_suite):
    suite = Suite.load(str(tiny_suite.change(weights={"2": {"built_in": "swinir-light-x2"}})))
    file, own = (Path(str(of.weights[2])) for of in (suite, Suite.load("sample")))
    assert file.samefile(own)


def test_unknown_built_in_weights_are_named_with_the_nearest(tiny_suite):
    path = tiny_suite.change(weights={"2": {"built_in": "swinir-lite-x2"}})
    assert "no built-in weights 'swinir-lite-x2'; did you mean 'swinir-light-x2'?" in error_of(Suite.load, str(path))
