"""`srq data get`, `import`, `lmdb` and `lr`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from refusals import one_line
from tiny import toml

from sr_ptq_bench.cli.commands.data import data
from sr_ptq_bench.data.images.pixels import read_image, write_image
from sr_ptq_bench.data.resize import downscale


@pytest.fixture
def hr(tmp_path):
    """A folder of two HR images."""
    generator = np.random.default_rng(0)
    for name, shape in {"a": (9, 12, 3), "b": (8, 8, 3)}.items():
        write_image(tmp_path / "HR" / f"{name}.png", generator.integers(0, 256, shape, dtype=np.uint8))
    return tmp_path / "HR"


def run(*arguments):
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def refusal(*arguments):
    return one_line(run(*arguments).exception)


@pytest.mark.parametrize("command", [(), ("get",), ("import",), ("lmdb",), ("lr",)])
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
    assert "b.png exists already (1 such files); use --force" in refusal("lr", hr, out, "--scale", 2)
    assert (out / "b.png").read_text() == "mine"
    assert not (out / "a.png").exists()
    assert run("lr", hr, out, "--scale", 2, "--force").exit_code == 0
    assert read_image(out / "b.png").shape == (4, 4, 3)


def test_lr_never_replaces_its_own_source(hr):
    hr = hr.rename(hr.with_name("X2"))
    linked = hr.with_name("linked")
    linked.mkdir()
    (linked / "a.png").symlink_to(hr / "a.png")
    before = {path: path.read_bytes() for path in hr.iterdir()}
    for source in (hr, hr / "{name}.png", hr.with_name("X{scale}"), linked):
        refused = refusal("lr", source, hr / ".." / "X2", "--scale", 2, "--force")
        assert "has the HR images themselves; choose another folder" in refused
    assert {path: path.read_bytes() for path in hr.iterdir()} == before


def test_lr_takes_images_by_a_pattern(hr, tmp_path):
    assert run("lr", hr / "{name}.png", tmp_path / "LR", "--scale", 2).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "LR").iterdir()) == ["a.png", "b.png"]


def test_lr_checks_every_header_before_it_writes(hr, tmp_path):
    (hr / "z.png").write_text("no image")
    assert "z.png: not an image" in refusal("lr", hr, tmp_path / "LR", "--scale", 2)
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
    assert "HR.lmdb exists already" in refusal("lmdb", hr, tmp_path / "HR.lmdb")


def test_missing_folders_are_named(tmp_path):
    assert "missing: cannot be read" in refusal("lmdb", tmp_path / "missing", tmp_path / "x.lmdb")
    assert "missing: cannot be read" in refusal("lr", tmp_path / "missing", tmp_path / "LR", "--scale", 3)


@pytest.fixture
def registry(web, monkeypatch, tmp_path):
    """srq knows weights `w` and the image sets `Near` (two images) and `Far`, from the local server."""
    common = {"count": 2, "home": "https://home", "what": "the images", "names": {"a": "12x9", "b": "8x8"}}
    known = {
        "weights": {"w": {"url": f"{web.url}/w.pth"}},
        "images": {
            "Near": {**common, "terms": "free", "archive": f"{web.url}/near.zip"},
            "Far": {**common, "terms": "on request"},
        },
    }
    (tmp_path / "registry.toml").write_text(toml(known))
    monkeypatch.setattr("sr_ptq_bench.library.registry.FILE", tmp_path / "registry.toml")


def test_get_without_a_name_lists_what_there_is(registry, srq, hr):
    assert srq("data", "import", "Near", hr.parent).status == 0
    assert srq("data", "get").out.splitlines() == [
        "w     `srq data get w` fetches it, as does its first use",
        "Near  available",
        "Far   take the images from https://home (on request), then `srq data import Far DIR`",
    ]


def test_get_fetches_weights(registry, srq, web, own_home):
    web.serve("/w.pth", b"weights")
    outcome = srq("data", "get", "w")
    assert (outcome.status, outcome.err) == (0, "Fetch w\n")
    assert outcome.out.splitlines()[-1] == f"w is available: {own_home / 'downloads' / 'w.pth'}"
    assert (own_home / "downloads" / "w.pth").read_bytes() == b"weights"


@pytest.mark.parametrize("words", [["w"], []])
def test_get_as_json_prints_nothing_else(registry, srq, web, words):
    web.serve("/w.pth", b"weights")
    outcome = srq("data", "get", *words, "--json")
    assert json.loads(outcome.out)[0] == {"name": "w", "available": bool(words)}


def test_get_without_a_network_is_one_line(registry, srq, web):
    outcome = srq("data", "get", "w")
    assert outcome.status == 2
    said = outcome.err.removeprefix("Fetch w\n")
    assert said.count("\n") == 1
    assert said.startswith(f"srq: cannot fetch w.pth from {web.url}/w.pth: ")
    assert "`srq data import w FILE`" in said


def test_get_says_what_must_be_asked_for(registry, srq):
    outcome = srq("data", "get", "Far")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "srq: Far cannot be fetched by srq: take the images from https://home (on request), "
        "then `srq data import Far DIR`\n"
    )


def test_import_brings_a_set_once(registry, srq, hr, own_home):
    folder = own_home / "images" / "Near"
    made = [f"Near LR x{scale}: made" for scale in (2, 3, 4)]
    assert srq("data", "import", "Near", hr).out.splitlines() == [*made, f"Near is available: 2 images in {folder}"]
    again = srq("data", "import", "Near", hr)
    assert again.status == 2
    assert again.err.splitlines()[-1].startswith(f"srq: Near is available already, in {folder}; remove that folder")


def test_import_expands_a_home_folder(registry, srq, hr, monkeypatch):
    monkeypatch.setenv("HOME", str(hr.parent))
    assert srq("data", "import", "Near", "~/HR").status == 0


@pytest.mark.parametrize("words", [("get", "Neer"), ("import", "Neer", ".")])
def test_an_unknown_name_has_a_nearest_one(registry, srq, words):
    outcome = srq("data", *words)
    assert (outcome.status, outcome.err) == (2, "srq: no weights or image set 'Neer'; did you mean 'Near'?\n")
