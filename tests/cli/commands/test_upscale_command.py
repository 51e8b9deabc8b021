"""`srq upscale` on photos of people."""

from __future__ import annotations

import json
import os

import numpy as np
import PIL.Image
import pytest
from tiny import FILE, noise, write_images

from sr_ptq_bench.data.resize import downscale
from sr_ptq_bench.evaluation.metrics import srq_evaluate
from sr_ptq_bench.quantization.state.header import read_header
from sr_ptq_bench.upscaling.networks import STATES


def opened(path):
    """An image, its file closed."""
    with PIL.Image.open(path) as image:
        image.load()
        return image


@pytest.fixture
def upscale(srq, tiny_suite, tmp_path):
    """`srq upscale` by the tiny network into `tmp_path/large`."""

    def call(*photos, by=("--method", "minmax", "--scale", 2)):
        fixed = ("-o", tmp_path / "large", "--suite", tiny_suite.path, "--plugin", FILE)
        return srq("upscale", *fixed, *by, *photos)

    return call


def test_a_folder_and_a_photo_keep_their_names(upscale, tmp_path):
    folder = write_images(tmp_path / "photos", a=(20, 24), b=(17, 30))
    PIL.Image.fromarray(noise(16, 20)).save(tmp_path / "c.jpg")
    outcome = upscale(folder, tmp_path / "c.jpg", "--compare")
    assert outcome.status == 0, outcome.err
    assert outcome.out.split() == [str(tmp_path / "large" / name) for name in ("a.png", "b.png", "c.jpg")]
    sizes = {path.name: opened(path).size for path in (tmp_path / "large").iterdir()}
    assert sizes == {
        "a.png": (48, 40), "a-compare.png": (104, 40), "b.png": (60, 34), "b-compare.png": (128, 34),
        "c.jpg": (40, 32), "c-compare.jpg": (88, 32),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind", "result", "written"),
    [
        ("a.pbm", "PPM", "a.png", "PNG"),
        ("a.BMP", "BMP", "a.png", "PNG"),
        ("a.bmp", "JPEG", "a.jpg", "JPEG"),
        ("a.jpg", "PNG", "a.png", "PNG"),
        ("a.JPG", "JPEG", "a.JPG", "JPEG"),
        ("a", "WEBP", "a.webp", "WEBP"),
        ("a.b.tiff", "TIFF", "a.b.tiff", "TIFF"),
    ],
)
def test_the_suffix_of_a_result_is_that_of_its_format(upscale, tmp_path, name, kind, result, written):
    photo = PIL.Image.fromarray(noise(16, 20))
    (photo.convert("1") if name == "a.pbm" else photo).save(tmp_path / name, kind)
    outcome = upscale(tmp_path / name, "--compare")
    assert outcome.status == 0, outcome.err
    stem, suffix = result.rsplit(".", 1)
    made = {path.name: opened(path).format for path in (tmp_path / "large").iterdir()}
    assert made == {result: written, f"{stem}-compare.{suffix}": written}


def test_the_network_of_a_record_is_that_of_its_method(upscale, srq, tiny_suite, tmp_path):
    photo = write_images(tmp_path / "photos", a=(20, 24)) / "a.png"
    srq(
        "run", "--suite", tiny_suite.path, "--plugin", FILE, "-m", "minmax", "-b", 2, "-s", 2, "--out", tmp_path / "out"
    )
    (record,) = (tmp_path / "out").rglob("*.json")
    pixels = []
    for by in (
        ("--record", record),
        ("--method", "minmax", "--bits", 2, "--scale", 2),
        ("--fp", "--model", "tiny", "-s", 2),
    ):
        outcome = upscale(photo, "--force", by=by)
        assert outcome.status == 0, outcome.err
        pixels.append(np.asarray(opened(tmp_path / "large/a.png")))
    assert np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[0], pixels[2])


DITHERED = """
import torch
from sr_ptq_bench import Quantizer, hookimpl


class Dithered(Quantizer):
    def quantize(self, v):
        step = (self.upper - self.lower) / (2**self.bits - 1)
        return ((v - self.lower) / step + torch.rand_like(v)).floor().clamp(0, 2**self.bits - 1) * step + self.lower


@hookimpl
def srq_make_quantizer(site, bits):
    return Dithered(site, bits) if site.role == "weight" else None
"""


def test_weights_that_are_rounded_by_chance_are_those_of_the_scores(upscale, srq, tiny_suite, tmp_path):
    (tmp_path / "dithered.py").write_text(DITHERED)
    more = "--plugin", tmp_path / "dithered.py"
    words = "-m", "minmax+dithered", "-b", 2, "-s", 2, "--seed", 5, "--out", tmp_path / "out"
    srq("run", "--suite", tiny_suite.path, "--plugin", FILE, *more, *words)
    (record,) = (tmp_path / "out").rglob("*.json")
    hr = np.asarray(opened(tiny_suite.folder / "test/first.png"))
    PIL.Image.fromarray(downscale(hr, 2)).save(tmp_path / "first.png")
    outcome = upscale(tmp_path / "first.png", by=("--record", record, *more))
    assert outcome.status == 0, outcome.err
    scores = json.loads(record.read_text())["scores"]["noise"]["images"]["first"]
    assert srq_evaluate(sr=np.asarray(opened(tmp_path / "large/first.png")), hr=hr, scale=2) == pytest.approx(scores)


def test_a_record_of_one_s_own_photos_has_a_network_too(upscale, srq, tiny_suite, tmp_path):
    photo = write_images(tmp_path / "photos", a=(20, 24)) / "a.png"
    words = "-m", "minmax", "-b", 2, "-s", 2, "--test", f"mine={tmp_path / 'photos'}", "--out", tmp_path / "out"
    srq("run", "--suite", tiny_suite.path, "--plugin", FILE, *words)
    (record,) = (tmp_path / "out").rglob("*.json")
    outcome = upscale(photo, by=("--record", record))
    assert outcome.status == 0, outcome.err


def test_what_cannot_be_done_is_one_line_before_any_work(upscale, tmp_path):
    photos = write_images(tmp_path / "photos", a=(20, 24))
    photo = photos / "a.png"
    write_images(tmp_path / "others", a=(20, 24))
    (tmp_path / "text.png").write_text("no image")
    write_images(tmp_path / "small", good=(20, 24), small=(3, 3))
    write_images(tmp_path / "large", done=(8, 8))
    write_images(tmp_path / "again", done=(8, 8))
    for arguments, why in (
        ((tmp_path / "none.png",), "no such file; expected an image or a folder"),
        ((photo, tmp_path / "others"), "would both become"),
        ((tmp_path / "again",), "done.png exists; choose another -o, or --force to replace it"),
        ((tmp_path / "large", "--force"), "done.png exists; choose another -o"),
        ((tmp_path / "large", "--resume"), "done.png exists; choose another -o"),
        ((tmp_path / "text.png",), "not an image or damaged"),
        ((photo, "--fp"), "give one of --record, --method and --fp"),
        ((photo, "--tile", 9), "tile 9 is no multiple of the network's window 4"),
        ((photo, "--scale", 5), "5"),
        ((photo, "--force", "--resume"), "give one"),
        ((tmp_path / "small",), "small.png: 3x3 pixels, smaller than one window of 4x4"),
    ):
        outcome = upscale(*arguments)
        assert outcome.status == 2, arguments
        assert why in outcome.err
        assert outcome.err.count("\n") == 1


def test_a_truncated_photo_is_named_and_the_others_are_done(upscale, tmp_path):
    photos = write_images(tmp_path / "photos", a=(20, 24), b=(20, 24), c=(20, 24), d=(20, 24))
    for name in ("b.png", "d.png"):
        (photos / name).write_bytes((photos / name).read_bytes()[:-300])
    outcome = upscale(photos)
    assert outcome.status == 2
    b, d, last = (line for line in outcome.err.splitlines() if line.startswith("srq: "))
    assert b.startswith(f"srq: {photos / 'b.png'}: ")
    assert d.startswith(f"srq: {photos / 'd.png'}: ")
    assert last == "srq: 2 of 4 photos are damaged and have no result; they are named above"
    alone = upscale(photos / "b.png")
    assert (alone.status, [line for line in alone.err.splitlines() if line.startswith("srq: ")]) == (2, [b])
    assert sorted(path.name for path in (tmp_path / "large").iterdir()) == ["a.png", "c.png"]


def test_a_call_that_was_stopped_is_resumed(upscale, tmp_path):
    photos = write_images(tmp_path / "photos", a=(20, 24), b=(20, 24))
    assert upscale(photos / "a.png").status == 0
    before = (tmp_path / "large/a.png").stat().st_mtime_ns
    outcome = upscale(photos, "--resume")
    assert (outcome.status, outcome.out.split()) == (0, [str(tmp_path / "large/b.png")])
    assert (tmp_path / "large/a.png").stat().st_mtime_ns == before
    done = upscale(photos, "--resume")
    assert (done.status, done.out) == (0, "")
    assert done.err == f"nothing is left to do: all results are in {tmp_path / 'large'}\n"


def test_resume_writes_what_is_missing_and_keeps_what_is_there(upscale, tmp_path):
    photos, large = write_images(tmp_path / "photos", a=(20, 24), b=(20, 24)), tmp_path / "large"
    assert upscale(photos, "--compare").status == 0
    whole = {name: (large / name).read_bytes() for name in ("a-compare.png", "b.png")}
    for name in whole:
        (large / name).unlink()
    edited = {name: f"edited {name}".encode() for name in ("a.png", "b-compare.png")}
    for name, content in edited.items():
        (large / name).write_bytes(content)
    outcome = upscale(photos, "--resume", "--compare")
    assert (outcome.status, outcome.out.split()) == (0, [str(large / name) for name in whole])
    assert {path.name: path.read_bytes() for path in large.iterdir()} == whole | edited


@pytest.mark.parametrize("compare", [(), ("--compare",)])
def test_resume_keeps_no_results_of_another_scale(upscale, tmp_path, compare):
    photo = write_images(tmp_path / "photos", a=(20, 24)) / "a.png"
    assert upscale(photo, *compare).status == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "large").iterdir()}
    outcome = upscale(photo, "--resume", *compare, by=("--method", "minmax", "--scale", 4))
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.endswith("a.png has 48x40 pixels, not x4 of its photo; choose another -o, or --force")
    assert {path.name: path.read_bytes() for path in (tmp_path / "large").iterdir()} == before


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_resume_knows_the_result_of_a_turned_photo(upscale, tmp_path, orientation, suffix):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    photo = tmp_path / f"a{suffix}"
    PIL.Image.fromarray(noise(20, 24)).save(photo, exif=exif)
    assert upscale(photo, "--compare").status == 0
    done = upscale(photo, "--compare", "--resume")
    assert (done.status, done.out) == (0, "")


def test_folders_within_a_folder_are_named(upscale, tmp_path):
    photos = write_images(tmp_path / "photos", a=(20, 24))
    write_images(photos / "more", b=(20, 24))
    outcome = upscale(photos)
    assert outcome.status == 0
    said = "folders within are not searched (more); name them too"
    assert f"{photos}: {said}\n" in outcome.err
    (photos / "a.png").unlink()
    outcome = upscale(photos)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"srq: {photos}: no images in this folder")
    assert line.endswith(said)


def test_what_is_there_and_no_file_is_not_called_missing(upscale, tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    for name, what in (("loop.png", "not a file"), ("pipe.png", "not a file"), ("none.png", "no such file")):
        outcome = upscale(tmp_path / name)
        assert (outcome.status, outcome.err) == (
            2, f"srq: {tmp_path / name}: {what}; expected an image or a folder of images\n",
        )  # fmt: skip


def test_a_link_to_nothing_is_refused_before_any_work(upscale, tmp_path):
    photo = write_images(tmp_path / "photos", a=(20, 24)) / "a.png"
    (tmp_path / "large").symlink_to(tmp_path / "nowhere")
    outcome = upscale(photo)
    assert outcome.status == 2
    assert outcome.err == (
        f"srq: cannot write to {tmp_path / 'large'}: {tmp_path / 'large'} is a link to nothing; choose another --out\n"
    )


@pytest.mark.parametrize(
    ("name", "size", "more", "why"),
    [
        ("a.webp", (8, 8200), (), "8200x8 pixels become 16400 at the longer side; WEBP holds 16383"),
        ("a.webp", (8, 4096), ("--compare",), "4096x8 pixels become 16392 at the longer side; WEBP holds 16383"),
        ("a.jpg", (32800, 8), (), "8x32800 pixels become 65600 at the longer side; JPEG holds 65500"),
    ],
)
def test_a_result_that_its_format_cannot_hold_is_refused_before_any_work(upscale, tmp_path, name, size, more, why):
    PIL.Image.fromarray(noise(*size)).save(tmp_path / name)
    outcome = upscale(write_images(tmp_path / "photos", first=(20, 24)), tmp_path / name, *more)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"{tmp_path / name}: {why}" in outcome.err


@pytest.mark.parametrize("by", [("--fp", "--model", "tiny"), ("--record", "any.json")])
def test_bits_without_a_method_are_refused(upscale, tmp_path, by):
    outcome = upscale(write_images(tmp_path / "photos", a=(20, 24)), "--bits", 2, by=by)
    assert outcome.status == 2
    assert "--bits goes with --method" in outcome.err


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_built_in_state_is_dat_light_at_four_bits(srq, tmp_path, scale):
    photo = write_images(tmp_path, a=(16, 18)) / "a.png"
    outcome = srq("upscale", photo, "-o", tmp_path / "large", "--scale", scale)
    assert outcome.status == 0, outcome.err
    assert opened(tmp_path / "large/a.png").size == (18 * scale, 16 * scale)
    header = read_header((STATES / f"dat_light_x{scale}_cotrain_w4a4.safetensors").read_bytes())
    assert {site.bits for site in header.sites.values()} == {4}
