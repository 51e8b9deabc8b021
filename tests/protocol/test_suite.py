"""Suites of a user: what they hold, and what is wrong in one is refused in one line before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from refusals import error_of
from tiny import toml

from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.run_spec import RunSpec
from sr_ptq_bench.protocol.suite import Calibration, DataSource, Download, Suite


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"photos": ("coffee",), "hr": "x"},
        {"photos": ("coffee",), "datasets": ("Set5",)},
        {"datasets": ("Set5",), "hr": "x"},
        {"datasets": ("Set5",), "lr": "x"},
        {"lr": "x"},
        {"photos": ("coffee",), "lr": "x"},
        {"hd": "x"},
    ],
)
def test_a_source_is_photos_or_folders(fields):
    with pytest.raises(ValidationError):
        DataSource(**fields)


def test_a_source_keeps_what_it_is_given():
    assert DataSource(photos=("coffee",)).photos == ("coffee",)
    assert DataSource(hr="HR", lr="LR/X{scale}") == DataSource(hr=Path("HR"), lr="LR/X{scale}")


def test_a_source_s_relative_paths_are_read_from_a_folder():
    source = DataSource(hr="HR", lr="LR/X{scale}").relative_to(Path("/data"))
    assert source == DataSource(hr="/data/HR", lr="/data/LR/X{scale}")
    assert DataSource(hr="/HR", lr="/LR").relative_to(Path("/data")) == DataSource(hr="/HR", lr="/LR")
    assert DataSource(hr="HR").relative_to(Path("/data")).lr is None
    photos = DataSource(photos=("coffee",))
    assert photos.relative_to(Path("/data")) == photos


@pytest.mark.parametrize("fields", [{"patches": 0}, {"size": 7}, {"patches": -1}])
def test_calibration_needs_patches_of_some_size(fields):
    with pytest.raises(ValidationError):
        Calibration(source=DataSource(photos=("coffee",)), **fields)


def test_downloads_and_image_sets_are_no_paths(tiny_suite):
    """They stay as they are when a suite's paths are read from its folder."""
    path = tiny_suite.change(weights={"2": {"download": "x"}}, test={"mine": {"datasets": ["a", "b"]}})
    suite = Suite.load(str(path))
    assert suite.weights == {2: Download(download="x")}
    assert suite.test == {"mine": DataSource(datasets=("a", "b"))}


def test_a_suite_s_paths_are_read_from_its_own_folder(tiny_suite, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    suite = Suite.load(str(tiny_suite.change(networks={"other": {"4": "other.pth"}})))
    assert suite.weights == {2: tiny_suite.folder / "weights.safetensors"}
    assert suite.networks == {"other": {4: tiny_suite.folder / "other.pth"}}
    assert suite.calibration.source.hr == tiny_suite.folder / "calibration"
    assert suite.test["noise"].hr == tiny_suite.folder / "test"
    assert Suite.load("tiny/suite.toml").test["noise"].hr == Path("tiny/test")


def test_a_suite_is_named_nearest():
    assert error_of(Suite.load, "sampel") == "no suite 'sampel'; did you mean 'sample'?"


def test_a_missing_suite_file_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    assert error_of(Suite.load, str(path)) == f"cannot read suite {path}: No such file or directory"
    assert error_of(Suite.load, str(tmp_path / "no" / "mine.toml")).startswith("cannot read suite ")


@pytest.mark.parametrize("content", [b"name = ", b"[[[", b"\xff\xfe", b"name = 'a'\nname = 'b'", b"\x89PNG\r\n"])
def test_a_broken_suite_file_is_named(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    message = error_of(Suite.load, str(path))
    assert message.startswith(f"cannot read suite {path}: ")
    assert message.endswith("; expected a TOML file")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"modle": "x"}, "no key 'modle'; did you mean 'model'?"),
        (
            {"calibration": {"source": {"hr": "x"}, "pathces": 3}},
            "no key 'calibration.pathces'; did you mean 'patches'?",
        ),
        (
            {"calibration": {"source": {"hr": "x", "folder": "y"}}},
            "no key 'calibration.source.folder'; there is: datasets, hr, lr, photos",
        ),
        ({"test": {"mine": {"HR": "x"}}}, "no key 'test.mine.HR'; did you mean 'hr'?"),
        ({"model": None}, "model is missing"),
        ({"test": {}}, "test: Dictionary should have at least 1 item"),
        ({"test": {"mine": {}}}, "test.mine: name photos, datasets or an hr folder, and only one of them"),
        ({"test": {"mine": {"datasets": ["Set5"], "hr": "x"}}}, "test.mine: name photos, datasets or an hr folder"),
        ({"weights": {"2": {"downlaod": "x"}}}, "weights.2"),
        ({"test": {"mine": {"photos": ["coffee"], "lr": "x"}}}, "test.mine: an lr folder needs its hr folder"),
        ({"calibration": {"source": {"hr": "x"}, "patches": 0}}, "calibration.patches: "),
        ({"calibration": {"source": {"hr": "x"}, "size": 4}}, "calibration.size: "),
        ({"calibration": {"source": {"hr": "x"}, "patches": True}}, "calibration.patches: "),
        ({"calibration": {"source": {"hr": "x"}, "size": "64"}}, "calibration.size: "),
        ({"tiles": {"size": True}}, "tiles.size: "),
        ({"tiles": {"size": 64, "overlap": 8.0}}, "tiles.overlap: "),
        ({"test": {"mine": {"hr": ""}}}, "test.mine.hr: is empty; write . for the folder of the suite's file"),
        ({"padding": "zero"}, "padding: Input should be 'flip', 'reflect' or 'window', got 'zero'"),
        ({"weights": {"5": "x"}}, "weights.5"),
        ({"weights": {"²": "x"}}, "weights"),
        ({"networks": {"other": {"5": "x"}}}, "networks.other.5"),
        ({"weights": "x"}, "weights: Input should be a valid dictionary, got 'x'"),
        ({"name": "../etc"}, "name: "),
        ({"name": "x-noise"}, "name 'x-noise' ends in '-noise', as --test would make it; choose another"),
        ({"name": "x-tile96-16"}, "name 'x-tile96-16' ends in '-tile96-16', as --tile would make it; choose another"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_suite_is_named(tiny_suite, changes, expected):
    message = error_of(Suite.load, str(tiny_suite.change(**changes)))
    assert message.startswith(f"suite {tiny_suite.path}: {expected}")


def test_a_suite_without_weights_for_a_scale_says_which_it_has(tiny_suite):
    suite = Suite.load(str(tiny_suite.path))
    spec = RunSpec(method="minmax", bits=Bits.parse("4"), scale=3, suite=suite)
    assert error_of(lambda: spec.weights) == "suite 'tiny' has no weights for x3; it has x2"


def test_another_network_of_a_suite(tiny_suite):
    suite = Suite.load(str(tiny_suite.change(networks={"other": {"4": "other.pth"}})))
    other = suite.with_model("other")
    assert (other.model, other.weights) == ("other", {4: tiny_suite.folder / "other.pth"})
    assert other == suite.model_copy(update={"model": "other", "weights": other.weights})
    assert suite.with_model("tiny") == suite
    assert error_of(suite.with_model, "othr") == "no model 'othr'; did you mean 'other'?"


def test_a_suite_s_options_are_of_any_simple_type(tiny_suite):
    path = tiny_suite.change(options={"dqc.lr": 0.5, "dqc.batch": 2, "dobi.one_sided": False, "dqc.loss": "paper"})
    assert Suite.load(str(path)).options == {
        "dqc.lr": 0.5, "dqc.batch": 2, "dobi.one_sided": False, "dqc.loss": "paper",
    }  # fmt: skip


def test_a_suite_s_options_may_be_tables_of_a_plugin(tiny_suite):
    path = tiny_suite.change(options={"dqc": {"lr": 0.5, "batch": 2}, "dobi.K": 7})
    assert Suite.load(str(path)).options == {"dqc.lr": 0.5, "dqc.batch": 2, "dobi.K": 7}


def test_a_suite_s_option_that_is_no_simple_value_is_named(tiny_suite):
    assert "options" in error_of(Suite.load, str(tiny_suite.change(options={"dqc.lr": [1, 2]})))


@given(st.dictionaries(st.sampled_from(["name", "model", "test", "weights", "x"]), st.integers() | st.text()))
def test_any_table_is_a_suite_or_an_error_of_srq(tmp_path_factory, table):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(toml(table), encoding="utf-8", errors="surrogatepass")
    error_of(Suite.load, str(path))


@pytest.mark.parametrize("seed", [-1, 2**63, 2**70])
def test_a_seed_that_torch_does_not_take_is_none_of_a_run(seed):
    suite, bits = Suite.load("sample"), Bits.parse("4")
    assert RunSpec(method="minmax", bits=bits, scale=2, suite=suite, seed=2**63 - 1).seed == 2**63 - 1
    with pytest.raises(ValidationError, match="seed"):
        RunSpec(method="minmax", bits=bits, scale=2, suite=suite, seed=seed)
