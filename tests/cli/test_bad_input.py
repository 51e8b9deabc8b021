"""What bad input gets: one line that names the value and what was expected, status 2, and nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import FILE, TinySuite, noise, write_images

from sr_ptq_bench.backbones import edsr


class Bench:
    """`srq run` on the tiny suite, and the folder that must stay empty where it is refused."""

    def __init__(self, srq, suite: TinySuite, out: Path) -> None:
        self.srq, self.suite, self.out = srq, suite, out
        self.folder = suite.folder
        self.test = suite.folder / "test"
        self.weights = suite.folder / "weights.safetensors"

    def __call__(self, *more, **named):
        fixed = {"method": "minmax", "bits": "4", "scale": 2, "suite": self.suite.path, "out": self.out} | named
        words = [word for key, value in fixed.items() for word in (f"--{key}", value)]
        return self.srq("run", "--plugin", FILE, *words, *more)

    def refuses(self, *expected, more=(), **named):
        """The run is refused with a line that holds all of `expected`."""
        outcome = self(*more, **named)
        lines = outcome.err.splitlines()
        assert outcome.status == 2, outcome
        assert outcome.out == ""
        assert len(lines) == 1, outcome.err
        assert lines[0].startswith("srq: ")
        assert [text for text in map(str, expected) if text not in lines[0]] == [], lines[0]
        assert "Error" not in lines[0]
        assert not self.out.exists()
        assert not list(self.folder.parent.rglob(".srq-*"))


@pytest.fixture
def bench(srq, tiny_suite, tmp_path):
    return Bench(srq, tiny_suite, tmp_path / "out")


# Words of the command line


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"method": "minmx"}, "srq: no method 'minmx'; did you mean 'minmax'?"),
        ({"method": "DOBI"}, "srq: no method 'DOBI'; did you mean 'dobi'?"),
        ({"method": "minmax+dcq"}, "srq: no method 'dcq'; did you mean 'dqc'?"),
        ({"method": "minmax+dobi"}, "srq: method 'minmax+dobi' has two initializers, minmax and dobi; keep one"),
        ({"method": "dqc"}, "srq: method 'dqc' has no initializer; put one before it, such as minmax+dqc"),
        ({"method": "2dquant+dqc"}, "srq: method '2dquant+dqc' names 'dqc' twice"),
        ({"suite": "sampel"}, "srq: no suite 'sampel'; did you mean 'sample'?"),
        ({"suite": "mine.toml"}, "srq: cannot read suite mine.toml: No such file or directory"),
        ({"model": "edsr"}, "srq: no model 'edsr'; there is: tiny"),
        ({"bits": "9"}, "srq: bits '9' are out of range; expected 2 to 8"),
        ({"bits": "w1a4"}, "srq: bits 'w1a4' are out of range; expected 2 to 8"),
        ({"bits": "four"}, "srq: no bit-width 'four'; expected a number such as 4, or w4a8"),
        ({"scale": 5}, "srq: scale 5 is out of range; expected 2, 3 or 4"),
        ({"scale": 3}, "srq: suite 'tiny' has no weights for x3; it has x2"),
        ({"scale": "two"}, "srq: Invalid value for '--scale' / '-s': 'two' is not a valid integer."),
        ({"scope": "conv"}, "srq: Invalid value for '--scope': 'conv' is not one of 'linear', 'all'."),
        ({"seed": -1}, "srq: Invalid value for '--seed': -1 is not in the range"),
        ({"seed": 2**64}, "srq: Invalid value for '--seed': 18446744073709551616 is not in the range"),
        ({"device": "tpu"}, "srq: device 'tpu' is not available here; expected auto, cpu or cuda"),
        ({"option": "lr"}, "srq: option 'lr' is not of the form key=value"),
        ({"option": "p=1"}, "srq: no option 'p'; there is: none"),
        ({"method": "2dquant", "option": "dqc.lrr=1"}, "srq: no option 'dqc.lrr'; did you mean 'dqc.lr'?"),
        ({"method": "2dquant", "option": "iteration=1"}, "srq: no option 'iteration'; did you mean 'iterations'?"),
        ({"method": "2dquant", "option": "lr=-1"}, "srq: option lr: Input should be greater than 0, got '-1'"),
        ({"method": "2dquant", "option": "preset=x"}, "srq: no preset 'x'; there is: official, paper"),
        ({"test": "photos"}, "srq: test set 'photos' is not of the form NAME=HR_DIR"),
        ({"test": "=photos"}, "srq: test set '=photos' is not of the form NAME=HR_DIR"),
        ({"test": "a/b=photos"}, "srq: no name for a test set: 'a/b'; expected letters, digits, '.', '_' and '-'"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_is_refused(bench, named, expected):
    bench.refuses(expected, **named)


def test_scope_linear_of_a_network_of_convolutions_is_refused(srq, tmp_path):
    torch.manual_seed(0)
    save_file(edsr.new_network("msrresnet", 2).state_dict(), tmp_path / "weights.safetensors")
    suite = TinySuite.write(tmp_path / "suite")
    suite.change(model="msrresnet", weights={"2": str(tmp_path / "weights.safetensors")})
    Bench(srq, suite, tmp_path / "out").refuses(
        "srq: scope 'linear' quantizes nothing of 'msrresnet': all its layers are convolutions; choose 'all'",
        scope="linear",
    )


@pytest.mark.parametrize("missing", ["--method", "--bits", "--scale"])
def test_a_missing_word_names_the_help(srq, missing):
    given = {"--method": "minmax", "--bits": "4", "--scale": "2"}
    outcome = srq("run", *(word for key, value in given.items() if key != missing for word in (key, value)))
    assert outcome.status == 2
    assert outcome.err.startswith(f"srq: Missing option '{missing}'")
    assert outcome.err.endswith("See `srq run --help`.\n")


def test_an_option_given_twice_is_refused(bench):
    bench.refuses("srq: option 'p' is given twice", method="percentile", more=("-o", "p=0.1", "-o", "p=0.2"))


def test_a_test_set_given_twice_is_refused(bench):
    same = ("--test", f"a={bench.test}", "--test", f"a={bench.test}")
    bench.refuses("srq: test set 'a' is given twice", more=same)


def test_a_suite_without_metrics(bench, monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "metrics")
    outcome = bench()
    assert outcome.status == 2
    assert outcome.err.endswith("srq: no metric plugin returned a score; is `metrics` blocked by SRQ_DISABLE?\n")
    assert not bench.out.exists()


# Suites and data sets


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
        ({"options": {"dqc.lr": [1]}}, "options.dqc.lr"),
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


# Images


def save(path: Path, mode: str, **options) -> None:
    if mode == "I;16":
        PIL.Image.fromarray(np.full((24, 24), 999, np.uint16)).save(path)
    else:
        PIL.Image.fromarray(noise(24, 24)).convert(mode).save(path, **options)


def truncate(path: Path) -> None:
    save(path, "RGB")
    path.write_bytes(path.read_bytes()[:-300])


IMAGES = {
    "no image": (lambda path: path.write_text("hello"), "not an image or damaged", "expected a whole PNG, JPEG"),
    "empty": (lambda path: path.write_bytes(b""), "not an image or damaged", "expected a whole PNG, JPEG"),
    "truncated": (truncate, "not an image or damaged", "expected a whole PNG, JPEG"),
    "a folder": (lambda path: path.mkdir(), "not a file; expected an image"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "no such file; expected an image"),
    "16 bit": (lambda path: save(path, "I;16"), "a 16-bit image; expected 8-bit RGB or grey"),
    "palette": (lambda path: save(path, "P"), "a palette image; expected 8-bit RGB or grey"),
    "alpha": (lambda path: save(path, "RGBA"), "an RGB image with alpha; expected 8-bit RGB or grey"),
    "grey with alpha": (lambda path: save(path, "LA"), "a grey image with alpha; expected 8-bit RGB or grey"),
    "1 bit": (lambda path: save(path, "1"), "a 1-bit image; expected 8-bit RGB or grey"),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("where", ["test", "calibration"])
def test_an_image_that_cannot_be_is_refused(bench, where, kind):
    make, *expected = IMAGES[kind]
    path = bench.folder / where / "bad.png"
    make(path)
    bench.refuses(path, *expected)


def test_an_image_smaller_than_one_window_is_refused(bench):
    write_images(bench.test, small=(40, 7))
    bench.refuses("dataset 'noise': LR image 'small' is 3x20, smaller than one window of 4x4; remove it")


def test_an_image_smaller_than_the_scale_is_refused(bench):
    write_images(bench.test, small=(1, 40))
    bench.refuses(bench.test / "small.png", "40x1 pixels are too few for x2; remove it")


@pytest.mark.parametrize(("height", "width"), [(14, 60), (60, 14)])
def test_a_calibration_image_too_small_for_a_patch_is_refused(bench, height, width):
    write_images(bench.folder / "calibration", small=(height, width))
    bench.refuses(
        "dataset 'calibration': LR image 'small'", "too small for patches of 8; remove it or cut smaller ones"
    )


def test_two_images_of_one_name_are_refused(bench):
    PIL.Image.fromarray(noise(24, 24)).save(bench.test / "first.bmp")
    bench.refuses(bench.test, "first.bmp and first.png share a base name; rename one of them")


# Weights


def changed(path: Path, **tensors) -> None:
    content = load_file(path) | tensors
    save_file({name: tensor for name, tensor in content.items() if tensor is not None}, path)


class Malicious:
    """Pickled code that would leave a file behind."""

    def __reduce__(self):
        return Path.touch, (Path(self.__dict__["path"]),)


WEIGHTS = {
    "missing": (lambda path: path.unlink(), "no weights file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "no weights file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot read weights", "expected safetensors"),
    "garbage": (lambda path: path.write_bytes(b"\x80\x04" * 99), "cannot read weights", "expected safetensors"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cannot read weights", "expected safetensors"),
    "of another shape": (
        lambda path: changed(path, **{"fc1.weight": torch.zeros(4, 4)}),
        "tensor fc1.weight is (4, 4), expected (8, 4); they belong to another network or scale",
    ),
    "lacking a tensor": (lambda path: changed(path, **{"fc1.bias": None}), "lack the tensor fc1.bias"),
    "with another tensor": (lambda path: changed(path, more=torch.zeros(1)), "hold an unknown tensor more"),
    "with nan": (
        lambda path: changed(path, **{"fc1.bias": torch.full((8,), float("nan"))}),
        "tensor fc1.bias has values that are not finite",
    ),
    "with inf": (
        lambda path: changed(path, **{"fc1.bias": torch.full((8,), float("inf"))}),
        "tensor fc1.bias has values that are not finite",
    ),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_cannot_be_is_refused(bench, kind):
    make, *expected = WEIGHTS[kind]
    make(bench.weights)
    bench.refuses(bench.weights, *expected)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_pickled_code_is_not_run(bench, how):
    path, proof = bench.folder / "weights.pth", bench.folder / "proof"
    malicious = Malicious()
    malicious.path = str(proof)
    if how == "torch":
        torch.save({"params": malicious}, path)
    else:
        path.write_bytes(pickle.dumps(malicious))
    bench.suite.change(weights={"2": "weights.pth"})
    bench.refuses(path, "cannot read weights", "holds more than tensors; expected safetensors")
    assert not proof.exists()


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 1000])
def test_truncated_weights_of_torch_are_refused(bench, keep):
    path = bench.folder / "weights.pth"
    torch.save(load_file(bench.weights), path)
    path.write_bytes(path.read_bytes()[:keep])
    bench.suite.change(weights={"2": "weights.pth"})
    bench.refuses(path, "cannot read weights", "expected safetensors")


@pytest.mark.parametrize("content", [[1, 2], {}, {"params": {"a": 1}}, 7])
def test_weights_without_tensors_are_refused(bench, content):
    path = bench.folder / "weights.pth"
    torch.save(content, path)
    bench.suite.change(weights={"2": "weights.pth"})
    bench.refuses(f"weights {path} hold no table of tensors")


def test_weights_of_torch_are_read_all_the_same(bench):
    torch.save({"params": load_file(bench.weights)}, bench.folder / "weights.pth")
    bench.suite.change(weights={"2": "weights.pth"})
    assert bench().status == 0


# Plugins


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def srq_init_bounds(distribution): return Bounds(float('nan'), 1.0)", "fc1.weight: bounds are not finite"),
        ("def srq_init_bounds(distribution): return Bounds(2.0, 1.0)", "site fc1.weight: a lower bound is above"),
        ("def srq_init_bounds(distribution): return 1.0", "site fc1.weight: expected Bounds, got a float"),
        ("def srq_init_bounds(distribution): return None", "site fc1.weight: srq_init_bounds returns None"),
    ],
)  # fmt: skip
def test_a_plugin_that_returns_what_it_may_not(bench, tmp_path, body, expected):
    path = tmp_path / "mine.py"
    path.write_text(f"from sr_ptq_bench import Bounds, hookimpl\n@hookimpl\n{body}\n")
    outcome = bench("--plugin", path, method="mine")
    last = outcome.err.splitlines()[-1]
    assert outcome.status == 2
    assert last.startswith("srq: ")
    assert "'mine'" in last
    assert expected in last
    assert not bench.out.exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("def srq_init_bound(): pass", "no hook 'srq_init_bound'; did you mean 'srq_init_bounds'?"),
        ("def srq_init_bounds(distribtion): pass", "plugin 'mine' of mine.py: "),
        ("1 / 0", "mine.py fails to import: "),
    ],
)
def test_a_plugin_that_cannot_be(bench, tmp_path, body, expected):
    path = tmp_path / "mine.py"
    path.write_text(f"from sr_ptq_bench import hookimpl\n{'@hookimpl' if 'def' in body else ''}\n{body}\n")
    outcome = bench("--plugin", path)
    assert outcome.status == 2
    assert outcome.err.startswith("srq: ")
    assert outcome.err.count("\n") == 1
    assert expected in outcome.err


# Output


@pytest.mark.parametrize("inside", [".", "results", "results/tiny", "deeper/still"])
def test_an_output_folder_that_is_a_file(bench, tmp_path, inside):
    file = tmp_path / "file"
    if inside in (".", "deeper/still"):
        file.write_text("mine")
        named = {"out": file / inside}
    else:
        file.joinpath(inside).parent.mkdir(parents=True)
        file.joinpath(inside).write_text("mine")
        named = {"out": file}
    bench.refuses("cannot write to", "is not a folder; choose another --out", **named)
    assert next(path for path in (file, *file.rglob("*")) if path.is_file()).read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_permission_is_refused(bench, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    bench.refuses("cannot write to", f"no permission in {folder}; choose another --out", out=folder / "out")


def test_an_output_folder_whose_name_is_too_long_is_refused(bench):
    bench.refuses("cannot write to", "File name too long; choose another --out", out="x" * 300)


def test_a_damaged_record_stops_a_table(bench):
    assert bench().status == 0
    (path,) = bench.out.rglob("*.json")
    path.write_text(json.dumps({"schema_version": 1}))
    outcome = bench.srq("table", "--out", bench.out)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"srq: record {path}: ")
    assert outcome.err.count("\n") == 1


def test_an_interrupted_run_leaves_nothing(tiny_suite, tmp_path):
    """SIGINT reaches a process in the middle of calibration."""
    ready = tmp_path / "ready"
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import pathlib, time\nfrom sr_ptq_bench import hookimpl\n"
        f"@hookimpl\ndef srq_calibrate():\n    pathlib.Path({str(ready)!r}).touch()\n    time.sleep(300)\n"
    )
    words = ["run", "-m", "minmax+slow", "-b", "4", "-s", "2", "--suite", tiny_suite.path, "--out", tmp_path / "out"]
    # A shell starts its background jobs deaf to SIGINT, and their children inherit that.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start = [sys.executable, "-c", hear + "from sr_ptq_bench.cli import main; main()"]
    process = subprocess.Popen(
        [*start, *map(str, words), "--plugin", str(FILE), "--plugin", str(slow)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert ready.exists(), err
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    told = [line for line in err.splitlines() if line.startswith("srq: ")]
    assert told == ["srq: interrupted; no file is left half-written, and the same run continues where it was"]
    assert err.rstrip().endswith(told[0])
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob(".srq-*"))
