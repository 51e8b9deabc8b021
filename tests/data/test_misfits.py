"""Images that do not fit each other, are damaged or change in use are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import PIL.Image
import pytest
from tiny import noise, write_images

from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.images.pixels import write_image
from sr_ptq_bench.data.lmdb import write_lmdb
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.suite import DataSource


def test_unpaired_images_are_named_with_counts(pair, tmp_path):
    lr = tmp_path / "LR" / "X2"
    (lr / "b.png").rename(lr / "zebra.png")
    with pytest.raises(SrqError, match=r"no LR image 'b' \(3 HR and 3 LR images\)"):
        load_dataset("set", pair, 2)
    (lr / "zebra.png").rename(lr / "b.png")
    shutil.copy(lr / "b.png", lr / "bx2.png")
    with pytest.raises(SrqError, match=r"no HR image for LR image 'bx2' \(3 HR and 4 LR images\)"):
        load_dataset("set", pair, 2)


def test_equal_base_names_are_refused(pair):
    PIL.Image.open(pair.hr / "a.png").save(pair.hr / "a.bmp")
    for source in (pair, DataSource(hr=pair.hr)):
        with pytest.raises(SrqError, match=r"a\.bmp and a\.png share a base name"):
            load_dataset("set", source, 2)


def test_a_folder_of_another_scale_does_not_fit(pair, tmp_path):
    source = DataSource(hr=pair.hr, lr=str(tmp_path / "LR" / "X2"))
    with pytest.raises(SrqError, match=r"HR and LR do not fit the scale: HR is 16x13, LR 8x6; expected x3"):
        load_dataset("set", source, 3)
    with pytest.raises(SrqError, match="X4: cannot be read"):
        load_dataset("set", pair, 4)


def test_hr_one_row_too_small_or_a_scale_too_large_does_not_fit(tmp_path):
    write_image(tmp_path / "L" / "a.png", noise(5, 5))
    source = DataSource(hr=tmp_path / "H", lr=str(tmp_path / "L"))
    for height, fits in [(9, False), (10, True), (11, True), (12, False)]:
        write_image(tmp_path / "H" / "a.png", noise(height, 10))
        if fits:
            assert load_dataset("set", source, 2)[0].hr.shape == (10, 10, 3)
        else:
            with pytest.raises(SrqError, match="do not fit"):
                load_dataset("set", source, 2)


def test_bad_headers_are_found_before_any_pixel_is_read(pair, tmp_path):
    PIL.Image.open(pair.hr / "c.png").convert("RGBA").save(pair.hr / "c.png")
    for source in (pair, DataSource(hr=pair.hr)):
        with pytest.raises(SrqError, match=r"c\.png: an RGB image with alpha"):
            load_dataset("set", source, 2)


def test_images_smaller_than_the_scale_are_refused(tmp_path):
    with pytest.raises(SrqError, match="9x3 pixels are too few for x4"):
        load_dataset("set", DataSource(hr=write_images(tmp_path / "tiny", a=(3, 9))), 4)


@pytest.mark.parametrize("cut", [1, 30])
def test_truncated_images_are_named_when_read(pair, cut):
    path = pair.hr / "b.png"
    path.write_bytes(path.read_bytes()[:-cut])
    for source in (pair, DataSource(hr=pair.hr)):
        dataset = load_dataset("set", source, 2)
        with pytest.raises(SrqError, match=r"b\.png"):
            _ = dataset.sha256


def test_lmdbs_with_other_keys_or_sizes_are_refused(stores, pair, tmp_path):
    with pytest.raises(SrqError, match="HR and LR do not fit the scale"):
        load_dataset("set", DataSource(hr=stores.hr, lr=str(stores.hr)), 2)
    (tmp_path / "LR" / "X2" / "c.png").unlink()
    write_lmdb(tmp_path / "LR" / "X2", tmp_path / "fewer.lmdb")
    with pytest.raises(SrqError, match=r"no LR image 'c' \(3 HR and 2 LR images\)"):
        load_dataset("set", DataSource(hr=stores.hr, lr=str(tmp_path / "fewer.lmdb")), 2)


def test_an_image_that_changes_in_use_is_noticed(pair):
    dataset = load_dataset("set", DataSource(hr=pair.hr), 2)
    write_image(pair.hr / "b.png", noise(6, 6))
    with pytest.raises(SrqError, match="image 'b' is 3x3, its header said 5x10; it changed"):
        dataset[1]
    with pytest.raises(SrqError, match="image 'b' is 3x3, its header said 5x10; it changed"):
        dataset.lr(1)


def test_an_image_of_the_same_size_that_changes_in_use_is_noticed(pair):
    dataset = load_dataset("set", pair, 2)
    assert len(dataset.sha256) == 64
    write_image(pair.hr / "a.png", noise(13, 16, seed=9))
    with pytest.raises(SrqError, match="image 'a' has other pixels than at its first read; it changed"):
        dataset[0]
    assert dataset.lr(0).shape == (6, 8, 3)
    write_image(Path(pair.lr.format(scale=2)) / "a.png", noise(6, 8, seed=9))
    with pytest.raises(SrqError, match="image 'a' has other pixels than at its first read; it changed"):
        dataset.lr(0)
