"""Image sets: what is packed, what is made, what is refused, and that a refusal leaves nothing."""

from __future__ import annotations

import hashlib
import os
import shutil

import numpy as np
import pytest
from tiny import noise

from sr_ptq_bench.data.datasets import Dataset, load_dataset
from sr_ptq_bench.data.image_set import is_imported
from sr_ptq_bench.data.images.pixels import read_image, size_of, write_image
from sr_ptq_bench.data.lmdb import pack
from sr_ptq_bench.data.make_lr import write_lr
from sr_ptq_bench.data.resize import downscale
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.library.import_set import import_images
from sr_ptq_bench.library.registry import ImageSet
from sr_ptq_bench.protocol.suite import DataSource

TWO = ImageSet(count=2, home="https://x", what="", terms="", names={"a": "17x14", "b": "12x24"})
MADE = ["LR x2: made", "LR x3: made", "LR x4: made"]


@pytest.fixture
def source(tmp_path):
    """A folder with the two HR images."""
    write_image(tmp_path / "mine" / "HR" / "a.png", noise(14, 17))
    write_image(tmp_path / "mine" / "HR" / "b.png", noise(24, 12))
    return tmp_path / "mine"


@pytest.fixture
def images(tmp_path):
    return tmp_path / "home" / "images"


def bring(source, images, name="Two", entry=TWO):
    return import_images(name, entry, source, images, lambda *_: None)


def refused(source, images, entry=TWO) -> str:
    with pytest.raises(SrqError) as caught:
        bring(source, images, entry=entry)
    assert not is_imported(images / "Two")
    assert not images.exists() or list(images.iterdir()) == []
    return str(caught.value)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_imported_set_is_the_set(source, images, scale):
    assert bring(source, images) == MADE
    there = load_dataset("x", DataSource(datasets=("Two",)), scale, images)
    expected = load_dataset("x", DataSource(hr=source / "HR"), scale)
    assert there.names == expected.names == ("a", "b")
    for one, other in zip(there, expected, strict=True):
        assert np.array_equal(one.lr, other.lr)
        assert np.array_equal(one.hr, other.hr)
    assert there.sha256 == expected.sha256


def test_the_checksum_is_known_without_reading_an_image(source, images, monkeypatch):
    bring(source, images)
    expected = load_dataset("x", DataSource(hr=source / "HR"), 2).sha256
    monkeypatch.setattr(Dataset, "__getitem__", lambda *_: pytest.fail("read an image"))
    assert load_dataset("x", DataSource(datasets=("Two",)), 2, images).sha256 == expected


@pytest.mark.parametrize("layout", ["HR", "Two_train_HR", "."])
def test_where_hr_images_may_lie(source, images, tmp_path, layout):
    shutil.move(source / "HR", tmp_path / "elsewhere" / layout)
    assert bring(tmp_path / "elsewhere", images) == MADE


@pytest.mark.parametrize("folder", ["LR_bicubic", "Two_train_LR_bicubic"])
@pytest.mark.parametrize("suffix", ["", "x2"])
def test_given_lr_images_are_taken_and_compared(source, images, folder, suffix):
    for path in write_lr(source / "HR", source / folder / "X2", 2):
        path.rename(path.with_stem(path.stem + suffix))
    assert bring(source, images) == ["LR x2: as given, all MATLAB's bicubic to the bit", *MADE[1:]]


def test_other_lr_images_are_told_of(source, images):
    for path in write_lr(source / "HR", source / "LR_bicubic" / "X3", 3):
        write_image(path, read_image(path) ^ (path.stem == "b"))
    said = bring(source, images)
    assert said[1] == "LR x3: as given; 1 of 2 are not MATLAB's bicubic to the bit"
    pair = load_dataset("x", DataSource(datasets=("Two",)), 3, images)[1]
    assert np.array_equal(pair.lr, downscale(pair.hr, 3) ^ 1)


def test_several_sets_one_after_the_other(source, images):
    for name in ("Two", "Too"):
        bring(source, images, name)
    both = load_dataset("x", DataSource(datasets=("Two", "Too")), 2, images)
    one = load_dataset("x", DataSource(datasets=("Two",)), 2, images)
    assert both.names == ("Two/a", "Two/b", "Too/a", "Too/b")
    assert both.lr_sizes == 2 * one.lr_sizes
    for index in range(4):
        assert np.array_equal(both[index].hr, one[index % 2].hr)
        assert np.array_equal(both.lr(index), one[index % 2].lr)
    assert both.sha256 == hashlib.sha256(2 * one.sha256.encode()).hexdigest()


def test_a_set_is_imported_once(source, images):
    bring(source, images)
    with pytest.raises(SrqError, match=f"Two is available already, in {images / 'Two'}; remove that folder"):
        bring(source, images)
    shutil.rmtree(images / "Two")
    assert bring(source, images) == MADE


def test_nothing_but_the_set_is_left(source, images):
    bring(source, images)
    assert [path.name for path in images.iterdir()] == ["Two"]
    assert sorted(path.name for path in (images / "Two").iterdir()) == [
        "HR.lmdb", "LRx2.lmdb", "LRx3.lmdb", "LRx4.lmdb", "import.json",
    ]  # fmt: skip


def test_another_set_is_refused(source, images):
    write_image(source / "HR" / "c.png", noise(8, 8))
    assert refused(source, images) == "Two has no image 'c'; its images match a, b"
    (source / "HR" / "c.png").unlink()
    (source / "HR" / "b.png").unlink()
    assert refused(source, images) == "Two has 2 images, found 1; missing: b"
    write_image(source / "HR" / "b.png", noise(24, 10))
    assert refused(source, images).startswith("Two: 'b' is 10x24 pixels, expected 12x24")


def test_an_empty_folder_is_refused(tmp_path, images):
    assert f"{tmp_path}: no images in this folder" in refused(tmp_path, images)


def test_a_damaged_image_leaves_nothing(source, images):
    path = source / "HR" / "b.png"
    path.write_bytes(path.read_bytes()[:-30])
    assert "b.png" in refused(source, images)


@pytest.mark.parametrize("scale", [2, 4])
def test_lr_images_of_another_scale_are_refused(source, images, scale):
    write_lr(source / "HR", source / "LR_bicubic" / f"X{scale}", 3)
    assert f"HR and LR do not fit the scale: HR is 17x14, LR 5x4; expected x{scale}" in refused(source, images)


def test_an_interruption_leaves_nothing(source, images):
    def interrupt(done, _total, _note):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_images("Two", TWO, source, images, interrupt)
    assert list(images.iterdir()) == []


def test_a_set_that_changed_since_is_refused(source, images):
    bring(source, images)
    with (images / "Two" / "LRx3.lmdb" / "data.mdb").open("ab") as file:
        file.write(b"more")
    with pytest.raises(SrqError, match=f"{images / 'Two'}: changed since its import; remove this folder and import"):
        load_dataset("x", DataSource(datasets=("Two",)), 2, images)


@pytest.mark.parametrize("changed", [True, False])
def test_an_lmdb_that_is_written_again_to_the_same_size_is_read_and_compared(source, images, changed):
    bring(source, images)
    folder, before = images / "Two" / "LRx3.lmdb", load_dataset("x", DataSource(datasets=("Two",)), 3, images)
    pixels = {pair.name: pair.lr ^ np.uint8(changed) for pair in before}
    size = (folder / "data.mdb").stat().st_size
    shutil.rmtree(folder)
    pack(folder, {name: size_of(image) for name, image in pixels.items()}, pixels.__getitem__)
    assert (folder / "data.mdb").stat().st_size == size
    later = (images / "Two" / "import.json").stat().st_mtime + 1
    os.utime(folder / "data.mdb", (later, later))
    if changed:
        with pytest.raises(SrqError, match=f"{images / 'Two'}: changed since its import; remove this folder"):
            load_dataset("x", DataSource(datasets=("Two",)), 3, images)
    else:
        assert load_dataset("x", DataSource(datasets=("Two",)), 3, images).sha256 == before.sha256


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"images": 2}'])
def test_a_set_whose_mark_is_damaged_is_refused(source, images, content):
    bring(source, images)
    (images / "Two" / "import.json").write_text(content)
    with pytest.raises(SrqError, match=f"{images / 'Two'}: damaged; remove this folder and import Two again"):
        load_dataset("x", DataSource(datasets=("Two",)), 2, images)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["Set5"])
def test_the_benchmark_s_lr_images_are_matlab_s(benchmark_data, images, name):
    from sr_ptq_bench.library.registry import Registry

    said = bring(benchmark_data / name, images, name, Registry.load().image_set(name))
    assert said == [f"LR x{scale}: as given, all MATLAB's bicubic to the bit" for scale in (2, 3, 4)]
