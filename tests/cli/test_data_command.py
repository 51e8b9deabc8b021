"""`srq data lmdb` and `srq data lr`."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from sr_ptq_bench.cli.data import data
from sr_ptq_bench.data.images import read_image, write_image
from sr_ptq_bench.data.resize import downscale
from sr_ptq_bench.errors import SrqError


@pytest.fixture
def hr(tmp_path):
    """A folder of two HR images."""
    generator = np.random.default_rng(0)
    for name, shape in {"a": (9, 12, 3), "b": (8, 8, 3)}.items():
        write_image(tmp_path / "HR" / f"{name}.png", generator.integers(0, 256, shape, dtype=np.uint8))
    return tmp_path / "HR"


def run(*arguments):
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def error_of(*arguments):
    result = run(*arguments)
    assert isinstance(result.exception, SrqError), result
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.parametrize("command", [(), ("lmdb",), ("lr",)])
def test_help_shows_an_example(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert not command or "Example: srq data" in result.output


def test_lr_writes_one_png_per_image(hr, tmp_path):
    result = run("lr", hr, tmp_path / "LR" / "X2", "--scale", 2)
    assert result.exit_code == 0, result.exception
    assert result.output == f"wrote 2 images to {tmp_path / 'LR' / 'X2'}\n"
    assert sorted(path.name for path in (tmp_path / "LR" / "X2").iterdir()) == ["a.png", "b.png"]
    expected = downscale(read_image(hr / "a.png")[:8], 2)
    assert np.array_equal(read_image(tmp_path / "LR" / "X2" / "a.png"), expected)


def test_lr_replaces_files_only_if_forced(hr, tmp_path):
    out = tmp_path / "LR"
    out.mkdir()
    (out / "b.png").write_text("mine")
    assert "b.png exists already (1 such files); use --force" in error_of("lr", hr, out, "--scale", 2)
    assert (out / "b.png").read_text() == "mine"
    assert not (out / "a.png").exists()
    assert run("lr", hr, out, "--scale", 2, "--force").exit_code == 0
    assert read_image(out / "b.png").shape == (4, 4, 3)


def test_lr_never_replaces_its_own_source(hr):
    before = (hr / "a.png").read_bytes()
    assert "is the HR folder itself" in error_of("lr", hr, hr / ".." / "HR", "--scale", 2, "--force")
    assert (hr / "a.png").read_bytes() == before


def test_lr_checks_every_header_before_it_writes(hr, tmp_path):
    (hr / "z.png").write_text("no image")
    assert "z.png: not an image" in error_of("lr", hr, tmp_path / "LR", "--scale", 2)
    assert not (tmp_path / "LR").exists()


@pytest.mark.parametrize("scale", ["1", "5", "two"])
def test_scales_are_2_to_4(hr, tmp_path, scale):
    result = run("lr", hr, tmp_path / "LR", "--scale", scale)
    assert result.exit_code == 2
    assert "--scale" in result.output


def test_lmdb_writes_a_store(hr, tmp_path):
    result = run("lmdb", hr, tmp_path / "HR.lmdb")
    assert result.exit_code == 0, result.exception
    assert result.output == f"wrote 2 images to {tmp_path / 'HR.lmdb'}\n"
    assert {path.name for path in (tmp_path / "HR.lmdb").iterdir()} == {
        "data.mdb",
        "lock.mdb",
        "meta_info.txt",
    }
    assert "HR.lmdb exists already" in error_of("lmdb", hr, tmp_path / "HR.lmdb")


def test_missing_folders_are_named(tmp_path):
    assert "missing: cannot be read" in error_of("lmdb", tmp_path / "missing", tmp_path / "x.lmdb")
    assert "missing: cannot be read" in error_of("lr", tmp_path / "missing", tmp_path / "LR", "--scale", 3)
