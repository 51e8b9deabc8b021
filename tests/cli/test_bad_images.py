"""Images that cannot be scored or calibrated with: one line that names the file, status 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from tiny import noise, write_images


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


@pytest.mark.parametrize(("where", "kind"), [*(("test", kind) for kind in IMAGES), ("calibration", "truncated")])
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
