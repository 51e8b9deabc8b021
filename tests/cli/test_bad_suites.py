"""Suites and data sets that cannot be: one line that names file and reason, status 2."""

from __future__ import annotations

import shutil

import pytest
from tiny import write_images


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"modle": "x"}, "no key 'modle'; did you mean 'model'?"),
        ({"model": "swinir-lihgt"}, "called 'swinir-lihgt'; asked: edsr, spandrel, swinir, tiny"),
        ({"test": {"mine": {"photos": ["cofee"]}}}, "no photo 'cofee'; did you mean 'coffee'?"),
        ({"test": {"mine": {"photos": ["coffee", "coffee"]}}}, "a photo is named twice; name each once"),
        ({"test": {"mine": {"hr": "nowhere"}}}, "nowhere: cannot be read (No such file or directory)"),
        ({"test": {"mine": {"hr": "suite.toml"}}}, "suite.toml: cannot be read (Not a directory); expected a folder"),
        ({"test": {"mine": {"hr": "test", "lr": "nowhere"}}}, "nowhere: cannot be read (No such file or directory)"),
        ({"calibration": {"source": {"hr": "nowhere"}}}, "nowhere: cannot be read (No such file or directory)"),
        ({"calibration": {"source": {"hr": "calibration"}, "patches": 0}}, "calibration.patches: Input should be"),
        ({"options": {"dqc.lr": [1]}}, "options.dqc.lr: Input should be a valid boolean"),
        ({"options": {"dqc.lr": 1, "dqc": {"lr": 2}}}, "options: dqc.lr is given twice"),
        ({"weights": {"2": 7}}, "weights.2: Input should be a path, got 7"),
        ({"weights": {"2": {"built_in": ["edsr-baseline-x2"]}}}, "no built-in weights '['edsr-baseline-x2']'"),
        ({"weights": {"2": "a.pth", "02": "b.pth"}}, "weights: 2 is given twice"),
        ({"test": {"~photos": {"photos": ["coffee"]}}}, "a record cannot hold this run: test.~photos.[key]: a record"),
        ({"test": {"": {"photos": ["coffee"]}}}, "[key]: String should have at least 1 character"),
        ({"test": {"mine": {"hr": "a\u0000b"}}}, "it holds a NUL character"),
        ({"weights": {"2": "a\u0000b"}}, "it holds a NUL character"),
        ({"weights": {"2": "nowhere.safetensors"}}, "no weights file"),
        ({"weights": {"2": {"download": "swinir-light"}}}, "no published weights 'swinir-light'; did you mean"),
        ({"test": {"mine": {"datasets": ["set5"]}}}, "no image set 'set5'; did you mean 'Set5'?"),
        ({"test": {"mine": {"datasets": ["Set5"]}}}, "no test set is available of mine: `srq data get Set5`"),
        ({"calibration": {"source": {"datasets": ["DIV2K"]}}}, "calibration images DIV2K are missing"),
    ],
)  # fmt: skip
def test_a_suite_that_cannot_be_is_refused(bench, changes, expected):
    bench.suite.change(**changes)
    bench.refuses(expected)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_a_broken_suite_file_is_refused(bench, content):
    bench.suite.path.write_bytes(content)
    bench.refuses(f"cannot read suite {bench.suite.path}: ", "expected a TOML file")


@pytest.mark.parametrize("what", ["test", "calibration"])
def test_an_empty_folder_is_refused(bench, what):
    shutil.rmtree(bench.folder / what)
    (bench.folder / what).mkdir()
    (bench.folder / what / "notes.txt").write_text("no image")
    bench.refuses(f"{bench.folder / what}: no images in this folder; expected .png, ")


def test_a_folder_of_one_s_own_that_is_missing_is_refused(bench):
    bench.refuses(bench.folder / "nowhere", "expected a folder of images", test=f"mine={bench.folder / 'nowhere'}")


@pytest.fixture
def pairs(bench):
    """The suite tests on pairs of HR and LR."""
    shutil.rmtree(bench.test)
    write_images(bench.test, a=(24, 24), b=(24, 28))
    write_images(bench.folder / "lr", a=(12, 12), b=(12, 14))
    bench.suite.change(test={"pairs": {"hr": "test", "lr": "lr"}})
    return bench


def test_pairs_that_fit_are_measured(pairs):
    assert pairs().status == 0


def test_an_hr_image_without_lr_is_refused(pairs):
    (pairs.folder / "lr" / "b.png").unlink()
    pairs.refuses("no LR image 'b' (2 HR and 1 LR images); add or remove images until they pair")


def test_an_lr_image_without_hr_is_refused(pairs):
    write_images(pairs.folder / "lr", c=(12, 12))
    pairs.refuses("no HR image for LR image 'c' (2 HR and 3 LR images); add or remove images until they pair")


def test_hr_and_lr_that_do_not_fit_the_scale_are_refused(pairs):
    write_images(pairs.folder / "lr", b=(12, 12))
    pairs.refuses("b.png", "HR and LR do not fit the scale: HR is 28x24, LR 12x12; expected x2")


def test_an_lmdb_without_meta_info(pairs, srq):
    for name in ("test", "lr"):
        assert srq("data", "lmdb", pairs.folder / name, pairs.folder / f"{name}.lmdb").status == 0
    pairs.suite.change(test={"pairs": {"hr": "test.lmdb", "lr": "lr.lmdb"}})
    (pairs.folder / "lr.lmdb" / "meta_info.txt").unlink()
    pairs.refuses(pairs.folder / "lr.lmdb", "no readable meta_info.txt", "expected BasicSR's format")
