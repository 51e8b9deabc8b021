"""The sample photos of scikit-image and their checksums."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sr_ptq_bench.data import photos
from sr_ptq_bench.data.images.pixels import read_image
from sr_ptq_bench.data.photos import PHOTOS, photo_path
from sr_ptq_bench.errors import SrqError


def test_every_photo_is_there_and_whole():
    assert len(PHOTOS) == 12
    for file in PHOTOS:
        image = read_image(photo_path(Path(file).stem))
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        assert min(image.shape[:2]) >= 300


def test_grey_photos_are_read_as_rgb():
    image = read_image(photo_path("camera"))
    assert image.shape == (512, 512, 3)
    assert np.array_equal(image[:, :, 0], image[:, :, 1])


def test_unknown_photos_name_the_nearest():
    with pytest.raises(SrqError, match="no photo 'astronot'; did you mean 'astronaut'"):
        photo_path("astronot")
    with pytest.raises(SrqError, match="no photo"):
        photo_path("../../secret")


def test_a_changed_photo_is_refused(tmp_path, monkeypatch):
    shutil.copy(photo_path("rocket"), tmp_path / "rocket.jpg")
    with (tmp_path / "rocket.jpg").open("ab") as file:
        file.write(b"?")
    monkeypatch.setattr(photos, "_folder", lambda: tmp_path)
    with pytest.raises(SrqError, match=r"photo 'rocket': sha256 of .* is [0-9a-f]{64}, expected c2dd0de.*install"):
        photo_path("rocket")


def test_a_photo_that_this_scikit_image_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "_folder", lambda: tmp_path)
    with pytest.raises(SrqError, match=r"photo 'ihc': the installed scikit-image has no .*ihc\.png; install"):
        photo_path("ihc")


def test_without_scikit_image_the_error_says_so(monkeypatch):
    monkeypatch.setattr(photos, "find_spec", lambda _: None)
    with pytest.raises(SrqError, match="scikit-image, which is not installed"):
        photo_path("ihc")


def test_scikit_image_itself_is_not_imported():
    code = "import sys; from sr_ptq_bench.data import photos; photos.photo_path('ihc'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "skimage" not in done.stdout.split()
