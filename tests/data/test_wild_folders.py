"""Which files of a folder are images, and what is told of the others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from refusals import error_of
from saved_images import IMAGE, PIXELS, saved

from sr_ptq_bench.data.images.folder import list_images
from sr_ptq_bench.data.images.pixels import decode, read_image, write_image
from sr_ptq_bench.errors import SrqError


@pytest.mark.parametrize("suffix", ["jpe", "jfif", "jif", "JPG", "dib", "ppm", "pnm", "tiff"])
def test_rarer_suffixes_are_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    kind = {"ppm": "PPM", "pnm": "PPM", "dib": "BMP", "tiff": "TIFF"}.get(suffix, "JPEG")
    IMAGE.save(path, kind)
    assert list_images(tmp_path) == [path]
    expected = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.array_equal(read_image(path), expected)
    if kind != "JPEG":
        assert np.array_equal(expected, PIXELS)


def test_a_grey_pgm_is_read_and_other_depths_are_refused(tmp_path):
    PIL.Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "a.pgm")
    assert np.array_equal(read_image(tmp_path / "a.pgm")[:, :, 1], PIXELS[:, :, 0])
    assert "largest value is not 255" in error_of(decode, b"P6\n1 1\n100\nabc", "x")
    assert "x: " in error_of(decode, b"P6\n1 1\n65535\nabcdef", "x")


@pytest.mark.parametrize("name", ["a.gif", "a.jp2", "a.heic", "a.avif", "a.JXL", "a.tga", "a.exr", "b.cr2"])
def test_an_image_of_another_format_is_named(tmp_path, name):
    write_image(tmp_path / "b.png", PIXELS)
    (tmp_path / name).write_bytes(b"whatever")
    assert error_of(list_images, tmp_path) == (
        f"{tmp_path}: images that srq does not read: {name}; save them as PNG, or move them elsewhere"
    )


@pytest.mark.parametrize("name", ["0001", "a.png~", "a.png.bak", "a.dat"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "JPEG2000", "WEBP", "TIFF"])
def test_an_image_by_its_content_is_named(tmp_path, name, kind):
    write_image(tmp_path / "b.png", PIXELS)
    (tmp_path / name).write_bytes(saved(kind))
    assert f"does not read: {name};" in error_of(list_images, tmp_path)


def test_what_is_no_image_does_not_matter(tmp_path):
    write_image(tmp_path / "b.png", PIXELS)
    for name in ("Thumbs.db", "readme.txt", ".DS_Store", "._b.png", ".hidden.gif", "list.mat", "empty"):
        (tmp_path / name).write_bytes(b"text" * (name != "empty"))
    (tmp_path / "sound.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
    (tmp_path / "folder.gif").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["b.png"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (saved("GIF"), "GIF"),
        (saved("JPEG2000"), "JPEG 2000"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_a_file_is_called_what_it_is(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SrqError, match=rf"a\.png: not an image that srq reads but {found}"):
        read_image(tmp_path / "a.png")
