"""Names of images: patterns of suites, accents, keys of LMDBs."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import error_of
from tiny import TinySuite, noise, write_images

from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.images.pixels import decode, write_image
from sr_ptq_bench.data.lmdb import check_lmdb, write_lmdb
from sr_ptq_bench.data.make_lr import write_lr
from sr_ptq_bench.data.names import by_name, lr_names, split_pattern
from sr_ptq_bench.protocol.suite import DataSource, Suite

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.fixture
def hr(tmp_path):
    return write_images(tmp_path / "HR", baby=(16, 12), bird=(9, 20))


@pytest.fixture
def expected(hr):
    return load_dataset("set", DataSource(hr=hr), 2).sha256


def loaded(hr: object, lr: object = None, scale: int = 2) -> str:
    return load_dataset("set", DataSource(hr=Path(str(hr)), lr=lr and str(lr)), scale).sha256


def renamed(source: Path, folder: Path, template: str) -> Path:
    """Copies of the images of a folder in another, named by the template."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        (folder / template.format(path.stem)).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("hr_names", "lr_names", "hr_pattern", "lr_pattern"),
    [
        ("{}_HR_x2.png", "{}_LRBI_x2.png", "{name}_HR_x{scale}.png", "{name}_LRBI_x{scale}.png"),
        ("{}_HR.PNG", "{}_LR.png", "{name}_HR.png", "{name}_LR.PNG"),
        ("{}_SRF_2_HR.png", "{}_SRF_2_LR.png", "{name}_SRF_{scale}_HR", "{name}_SRF_{scale}_LR"),
        ("img_{}.png", "x2_{}.png", "img_{name}", "x{scale}_{name}"),
        ("{}.png", "{}_small.png", "{name}", "{name}_small.png"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_suite_says_how_images_are_named(
    tmp_path, hr, expected, hr_names, lr_names, hr_pattern, lr_pattern, together
):
    write_lr(hr, tmp_path / "made", 2)
    there = renamed(hr, tmp_path / "set" / "a", hr_names)
    beside = renamed(tmp_path / "made", there if together else tmp_path / "set" / "b", lr_names)
    if together and hr_pattern == "{name}":
        assert "no LR image" in error_of(loaded, there / hr_pattern, beside / lr_pattern)
    else:
        assert loaded(there / hr_pattern, beside / lr_pattern) == expected


def test_a_scale_in_the_folder_of_hr_images(tmp_path, hr, expected):
    renamed(hr, tmp_path / "Set5" / "x2HR", "{}.png")
    assert loaded(tmp_path / "Set5" / "x{scale}HR") == expected


def test_a_suite_file_with_patterns(tmp_path):
    suite = TinySuite.write(tmp_path)
    source = {"hr": "Set5/x{scale}HR/{name}_HR.png", "lr": "Set5/x{scale}/{name}_LR.png"}
    found = Suite.load(str(suite.change(test={"mine": source}))).test["mine"]
    assert str(found.hr) == str(tmp_path / source["hr"])
    assert found.lr == str(tmp_path / source["lr"])


def test_images_that_a_pattern_leaves_out(tmp_path, hr):
    assert "no image is named {name}_HR.png" in error_of(loaded, hr / "{name}_HR.png")
    assert "{name} stands once, in the last part" in error_of(loaded, hr.parent / "{name}" / "x.png")
    assert "{name} stands once" in error_of(loaded, hr / "{name}{name}.png")


def test_an_error_says_that_there_are_patterns(tmp_path, hr):
    write_lr(hr, tmp_path / "made", 2)
    lr = renamed(tmp_path / "made", tmp_path / "LR", "{}_LRBI_x2.png")
    assert "or say how they are named, as in lr = 'LR/{name}_LR.png'" in error_of(loaded, hr, lr)


@given(
    st.text(alphabet="abc._-{}xé ", min_size=1, max_size=12), st.sampled_from(["{name}_HR", "x_{name}", "{name}.png"])
)
def test_a_pattern_finds_the_name_that_made_the_file(name, pattern):
    file = pattern.replace("{name}", name) + ("" if pattern.endswith(".png") else ".png")
    assert list(by_name([Path(file)], pattern)) == [unicodedata.normalize("NFC", name)]


@given(st.text(alphabet="ab/{}.x", max_size=12))
def test_any_path_is_split_or_refused(path):
    try:
        folder, pattern = split_pattern(path, 2)
    except Exception as error:
        assert "{name} stands once" in str(error)
    else:
        assert "{name}" not in str(folder)
        assert pattern is None or pattern.count("{name}") == 1


# Accents


@pytest.mark.parametrize(("of_hr", "of_lr"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_accents_in_two_spellings_pair(tmp_path, of_hr, of_lr):
    write_image(tmp_path / "HR" / f"{of_hr}.png", noise(8, 8))
    write_image(tmp_path / "LR" / f"{of_lr}x2.png", noise(4, 4))
    dataset = load_dataset("set", DataSource(hr=tmp_path / "HR", lr=str(tmp_path / "LR")), 2)
    assert dataset.names == (NFC,)


def test_two_names_that_look_alike_are_said(tmp_path):
    for name in (NFC, NFD):
        write_image(tmp_path / "HR" / f"{name}.png", noise(8, 8))
    assert "share a base name (accents are spelt in two ways); rename one of them" in error_of(loaded, tmp_path / "HR")


def test_the_order_is_that_of_names_in_folders_and_lmdbs(tmp_path):
    hr = write_images(tmp_path / "HR", **{"a": (8, 8), "a-b": (8, 8), "B": (8, 8)})
    write_lmdb(hr, tmp_path / "HR.lmdb")
    assert loaded(hr) == loaded(tmp_path / "HR.lmdb")


# LMDBs


def test_keys_with_the_scale_behind_pair_as_files_do(tmp_path, hr, expected):
    write_lr(hr, tmp_path / "made", 2)
    write_lmdb(hr, tmp_path / "HR.lmdb")
    write_lmdb(renamed(tmp_path / "made", tmp_path / "LR", "{}x2.png"), tmp_path / "LR.lmdb")
    source = DataSource(hr=tmp_path / "HR.lmdb", lr=str(tmp_path / "LR.lmdb"))
    dataset = load_dataset("set", source, 2)
    assert dataset.sha256 == expected
    assert np.array_equal(dataset.lr(0), dataset[0].lr)


def test_keys_by_a_pattern(tmp_path, hr, expected):
    write_lr(hr, tmp_path / "made", 2)
    write_lmdb(renamed(hr, tmp_path / "a", "{}_HR.png"), tmp_path / "HR.lmdb")
    write_lmdb(renamed(tmp_path / "made", tmp_path / "b", "{}_LR.png"), tmp_path / "LR.lmdb")
    assert loaded(tmp_path / "HR.lmdb" / "{name}_HR", tmp_path / "LR.lmdb" / "{name}_LR.png") == expected


def test_lr_images_are_made_from_an_lmdb_of_hr_images(tmp_path, hr, expected):
    write_lmdb(hr, tmp_path / "HR.lmdb")
    assert loaded(tmp_path / "HR.lmdb") == expected


def test_an_lmdb_of_another_name_is_one_by_its_content(tmp_path, hr, expected):
    write_lmdb(hr, tmp_path / "HR.lmdb")
    (tmp_path / "HR.lmdb").rename(tmp_path / "store")
    assert loaded(tmp_path / "store") == expected


def test_an_lmdb_gives_what_basicsr_s_client_reads(tmp_path, hr):
    from basicsr.utils import FileClient

    from sr_ptq_bench import basicsr_compat  # noqa: F401 - makes basicsr importable

    write_lmdb(hr, tmp_path / "HR.lmdb")
    client = FileClient("lmdb", db_paths=[str(tmp_path / "HR.lmdb")], client_keys=["gt"])
    theirs = decode(bytes(client.get("baby", "gt")), "baby")
    for env in client.client._client.values():
        env.close()
    assert np.array_equal(load_dataset("set", DataSource(hr=tmp_path / "HR.lmdb"), 2)[0].hr, theirs)


def test_an_lmdb_that_was_killed_is_removed_by_the_next(tmp_path, hr):
    (tmp_path / ".srq-0123456789abcdef" / "HR.lmdb").mkdir(parents=True)
    (tmp_path / ".srq-0123456789abcdef.lock").touch()
    write_lmdb(hr, tmp_path / "HR.lmdb")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["HR", "HR.lmdb"]


@pytest.mark.parametrize("change", [lambda text: b"\xef\xbb\xbf" + text, lambda text: text.replace(b"\n", b"\r\n")])
def test_meta_files_that_an_editor_saved(tmp_path, hr, change):
    write_lmdb(hr, tmp_path / "HR.lmdb")
    before = check_lmdb(tmp_path / "HR.lmdb")
    meta = tmp_path / "HR.lmdb" / "meta_info.txt"
    meta.write_bytes(change(meta.read_bytes()))
    assert check_lmdb(tmp_path / "HR.lmdb") == before


def test_lr_names_follow_from_hr_names():
    assert lr_names(["a", "b"], ["ax3", "bx3"], 3, "here") == {"a": "ax3", "b": "bx3"}
    assert lr_names(["a", "ax3"], ["a", "ax3"], 3, "here") == {"a": "a", "ax3": "ax3"}
    assert "no HR image for LR image 'c'" in error_of(lr_names, ["a"], ["a", "c"], 2, "here")
