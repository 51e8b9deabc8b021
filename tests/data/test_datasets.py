"""Datasets from photos, folders and LMDBs."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from tiny import noise, write_images

from sr_ptq_bench.data.datasets import crops, load_dataset
from sr_ptq_bench.data.images.pixels import decode, read_image, write_image
from sr_ptq_bench.data.lmdb import write_lmdb
from sr_ptq_bench.data.make_lr import write_lr
from sr_ptq_bench.data.photos import photo_path
from sr_ptq_bench.data.resize import downscale
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.suite import DataSource


@pytest.fixture
def pair(tmp_path):
    """An HR folder with sizes that are no multiples of 2, and its LR folder."""
    hr = write_images(tmp_path / "HR", a=(13, 16), b=(20, 11), c=(8, 8))
    write_lr(hr, tmp_path / "LR" / "X2", 2)
    return DataSource(hr=hr, lr=str(tmp_path / "LR" / "X{scale}"))


@pytest.fixture
def stores(pair, tmp_path):
    """The same as LMDBs."""
    write_lmdb(pair.hr, tmp_path / "HR.lmdb")
    write_lmdb(tmp_path / "LR" / "X2", tmp_path / "LRx2.lmdb")
    return DataSource(hr=tmp_path / "HR.lmdb", lr=str(tmp_path / "LRx{scale}.lmdb"))


def test_photos_are_cropped_and_shrunk():
    dataset = load_dataset("photos", DataSource(photos=("motorcycle_left", "camera")), 3)
    assert dataset.names == ("motorcycle_left", "camera")
    first = dataset[0]
    assert first.name == "motorcycle_left"
    assert first.hr.shape == (498, 741, 3)
    assert np.array_equal(first.hr, read_image(photo_path("motorcycle_left"))[:498])
    assert np.array_equal(first.lr, downscale(first.hr, 3))
    assert first.lr.shape == (166, 247, 3)


def test_a_photo_is_named_once_only():
    with pytest.raises(SrqError, match="named twice"):
        load_dataset("photos", DataSource(photos=("ihc", "ihc")), 2)


def test_all_kinds_give_the_same_pixels_and_checksum(pair, stores):
    kinds = [load_dataset("set", source, 2) for source in (pair, stores, DataSource(hr=pair.hr))]
    assert {dataset.names for dataset in kinds} == {("a", "b", "c")}
    assert {dataset.lr_sizes for dataset in kinds} == {((6, 8), (10, 5), (4, 4))}
    for first, *others in zip(*kinds, strict=True):
        assert first.hr.dtype == first.lr.dtype == np.uint8
        assert first.hr.shape == (2 * first.lr.shape[0], 2 * first.lr.shape[1], 3)
        for other in others:
            assert np.array_equal(first.lr, other.lr)
            assert np.array_equal(first.hr, other.hr)
    assert len({dataset.sha256 for dataset in kinds}) == 1
    assert len(kinds[0].sha256) == 64


def test_an_lr_image_alone_is_the_pair_s(pair, stores):
    for source in (pair, stores, DataSource(hr=pair.hr)):
        dataset = load_dataset("set", source, 2)
        assert len(dataset.lr_images) == 3
        for index, whole in enumerate(dataset):
            assert np.array_equal(dataset.lr(index), whole.lr)
            assert np.array_equal(dataset.lr_images[index], whole.lr)


def test_lr_images_are_read_when_asked_for_and_kept(pair):
    dataset = load_dataset("set", pair, 2)
    (pair.hr / "b.png").unlink()  # no HR image is needed
    last = dataset.lr_images[-1]
    assert dataset.lr_images[2] is last
    for path in (pair.hr.parent / "LR" / "X2").iterdir():
        path.unlink()
    assert dataset.lr_images[2] is last
    with pytest.raises(SrqError, match=r"a\.png"):
        dataset.lr_images[0]
    with pytest.raises(IndexError):
        dataset.lr_images[3]


def test_an_image_set_is_named_once_only(tmp_path):
    with pytest.raises(SrqError, match="datasets Set5, Set5: a dataset is named twice"):
        load_dataset("set", DataSource(datasets=("Set5", "Set5")), 2, tmp_path)


def test_image_sets_lie_in_a_folder():
    with pytest.raises(SrqError, match="datasets Set5, B100 are named, but no folder that holds them"):
        load_dataset("set", DataSource(datasets=("Set5", "B100")), 2)


def test_pixels_pass_through_basicsr_unchanged(tmp_path):
    levels = np.arange(256 * 3, dtype=np.uint16).reshape(16, 16, 3).astype(np.uint8)
    write_image(tmp_path / "H" / "a.png", np.repeat(np.repeat(levels, 2, axis=0), 2, axis=1))
    write_image(tmp_path / "L" / "a.png", levels)
    (only,) = load_dataset("levels", DataSource(hr=tmp_path / "H", lr=str(tmp_path / "L")), 2)
    assert np.array_equal(only.lr, levels)
    assert np.array_equal(only.hr[::2, ::2], levels)


def test_the_checksum_sees_names_and_pixels(pair, tmp_path):
    before = load_dataset("set", pair, 2).sha256
    assert load_dataset("another name", pair, 2).sha256 == before
    image = read_image(pair.hr / "c.png")
    image[0, 0, 0] ^= 1
    write_image(pair.hr / "c.png", image)
    changed = load_dataset("set", pair, 2).sha256
    assert changed != before
    for path in (pair.hr / "c.png", tmp_path / "LR" / "X2" / "c.png"):
        path.rename(path.with_name("d.png"))
    assert load_dataset("set", pair, 2).sha256 not in (before, changed)


def test_a_sequence_of_pairs(pair):
    dataset = load_dataset("set", pair, 2)
    assert len(dataset) == 3
    assert dataset[-1].name == "c"
    with pytest.raises(IndexError):
        dataset[3]
    assert [item.name for item in dataset] == [item.name for item in dataset] == ["a", "b", "c"]


def test_two_datasets_read_one_lmdb_in_turn(stores):
    first, second = load_dataset("one", stores, 2), load_dataset("two", stores, 2)
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.hr, two.hr)


def test_lr_names_may_carry_the_scale_and_another_suffix(pair, tmp_path):
    expected = load_dataset("set", pair, 2).sha256
    lr = tmp_path / "LR" / "X2"
    for path in list(lr.iterdir()):
        path.rename(lr / f"{path.stem}x2.png")
    assert load_dataset("set", pair, 2).sha256 == expected
    PIL.Image.open(lr / "ax2.png").save(lr / "ax2.bmp")
    (lr / "ax2.png").unlink()
    assert load_dataset("set", pair, 2).sha256 == expected


def test_other_files_in_the_folders_do_not_matter(pair):
    (pair.hr / "Thumbs.db").touch()
    (pair.hr / "notes.txt").touch()
    assert load_dataset("set", pair, 2)[0].name == "a"


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


def test_an_lmdb_and_a_folder_are_read_alike(stores, pair):
    expected = load_dataset("set", pair, 2).sha256
    for source in (
        DataSource(hr=stores.hr),
        DataSource(hr=stores.hr, lr=pair.lr),
        DataSource(hr=pair.hr, lr=stores.lr),
    ):
        assert load_dataset("set", source, 2).sha256 == expected


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


def test_turned_jpegs_are_turned_in_every_kind(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise(12, 20)).save(buffer, "JPEG", exif=exif)
    (tmp_path / "HR").mkdir()
    (tmp_path / "HR" / "a.jpg").write_bytes(buffer.getvalue())
    write_lr(tmp_path / "HR", tmp_path / "LR", 2)
    for lr in (None, str(tmp_path / "LR")):
        (only,) = load_dataset("turned", DataSource(hr=tmp_path / "HR", lr=lr), 2)
        assert only.lr.shape == (10, 6, 3)
        assert np.array_equal(only.hr, decode(buffer.getvalue(), "a"))


def test_crops_are_windows_of_the_lr_images(pair):
    dataset = load_dataset("set", pair, 2)
    patches = crops(dataset, 40, 4, seed=1)
    assert patches.shape == (40, 4, 4, 3)
    assert patches.dtype == np.uint8
    windows = [
        {w.tobytes() for w in np.lib.stride_tricks.sliding_window_view(item.lr, (4, 4, 3)).reshape(-1, 4, 4, 3)}
        for item in dataset
    ]
    hits = [sum(patch.tobytes() in of_one for patch in patches) for of_one in windows]
    assert sum(hits) == 40
    assert min(hits) >= 5
    assert len({patch.tobytes() for patch in patches}) >= 15


def test_crops_follow_the_seed(pair):
    dataset = load_dataset("set", pair, 2)
    assert np.array_equal(crops(dataset, 8, 3, seed=5), crops(dataset, 8, 3, seed=5))
    assert not np.array_equal(crops(dataset, 8, 3, seed=5), crops(dataset, 8, 3, seed=6))


def test_crops_larger_than_an_image_name_it(pair):
    dataset = load_dataset("train", pair, 2)
    with pytest.raises(SrqError, match="dataset 'train': LR image 'b' is 5x10, too small for patches of 6"):
        crops(dataset, 1, 6, seed=0)


def test_modules_load_neither_torch_nor_opencv_nor_basicsr():
    code = (
        "import sys, sr_ptq_bench.cli.commands.data, sr_ptq_bench.data.datasets, sr_ptq_bench.data.make_lr;"
        "print({'torch', 'cv2', 'basicsr', 'lmdb', 'skimage', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.data
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_set5_with_and_without_its_lr_folder_is_the_same(benchmark_data, scale):
    hr = benchmark_data / "Set5" / "HR"
    paired = DataSource(hr=hr, lr=str(benchmark_data / "Set5" / "LR_bicubic" / "X{scale}"))
    assert load_dataset("Set5", paired, scale).sha256 == load_dataset("Set5", DataSource(hr=hr), scale).sha256
