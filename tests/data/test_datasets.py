"""Datasets from photos, folders and LMDBs."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from tiny import noise

from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.images.pixels import decode, read_image, write_image
from sr_ptq_bench.data.make_lr import write_lr
from sr_ptq_bench.data.photos import photo_path
from sr_ptq_bench.data.resize import downscale
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.suite import DataSource


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


def test_an_lmdb_and_a_folder_are_read_alike(stores, pair):
    expected = load_dataset("set", pair, 2).sha256
    for source in (
        DataSource(hr=stores.hr),
        DataSource(hr=stores.hr, lr=pair.lr),
        DataSource(hr=pair.hr, lr=stores.lr),
    ):
        assert load_dataset("set", source, 2).sha256 == expected


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
