"""Photos are read and written with all that is beside their pixels."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
from refusals import error_of
from tiny import noise

from sr_ptq_bench.upscaling.picture import Picture

PROFILE = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
MODES = {"RGB": (24, 30, 3), "L": (24, 30), "RGBA": (24, 30, 4), "LA": (24, 30, 2)}


def written(path, mode, **options):
    shape = MODES[mode]
    pixels = np.resize(noise(24, 30), shape)
    image = PIL.Image.fromarray(pixels, mode) if mode != "LA" else PIL.Image.fromarray(pixels[..., 0]).convert("LA")
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_lossless_photo_comes_back_as_it_was(tmp_path, mode, suffix):
    path = written(tmp_path / f"a{suffix}", mode, icc_profile=PROFILE)
    Picture.read(path).write(tmp_path / f"b{suffix}")
    with PIL.Image.open(path) as before, PIL.Image.open(tmp_path / f"b{suffix}") as after:
        assert after.mode == before.mode
        assert np.array_equal(np.asarray(after), np.asarray(before))
        assert after.format == before.format
        assert after.info["icc_profile"] == PROFILE


@pytest.mark.parametrize(("suffix", "mode"), [(".jpg", "RGB"), (".jpg", "L"), (".webp", "RGB"), (".webp", "RGBA")])
def test_format_mode_profile_and_orientation_stay(tmp_path, suffix, mode):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA002] = 30
    path = written(tmp_path / f"a{suffix}", mode, icc_profile=PROFILE, exif=exif)
    picture = Picture.read(path)
    picture.with_pixels(np.repeat(picture.rgb, 2, axis=1), None).write(tmp_path / f"b{suffix}")
    with PIL.Image.open(path) as before, PIL.Image.open(tmp_path / f"b{suffix}") as after:
        assert after.format == before.format
        assert after.size == (60, 24)
        assert after.info["icc_profile"] == PROFILE
        assert after.getexif()[0x0112] == 6
        assert after.getexif().get_ifd(0x8769)[0xA002] == 60
        assert after.mode == before.mode.removesuffix("A")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
def test_the_resolution_stays(tmp_path, name):
    picture = Picture.read(written(tmp_path / name, "RGB", dpi=(300, 150)))
    picture.write(tmp_path / "b")
    with PIL.Image.open(tmp_path / "b") as after:
        assert after.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_a_photo_without_a_resolution_gets_none(tmp_path):
    Picture.read(written(tmp_path / "a.png", "RGB", dpi=(0, 0))).write(tmp_path / "b")
    with PIL.Image.open(tmp_path / "b") as after:
        assert "dpi" not in after.info


def test_a_palette_becomes_its_colours(tmp_path):
    image = PIL.Image.fromarray(noise(24, 30)).quantize(16)
    image.save(tmp_path / "a.png", transparency=0)
    picture = Picture.read(tmp_path / "a.png")
    assert np.array_equal(picture.rgb, np.asarray(image.convert("RGB")))
    assert set(np.unique(picture.alpha)) == {0, 255}
    assert not picture.is_grey


@pytest.mark.parametrize("name", ["a.bmp", "a.ppm"])
def test_other_formats_become_png(tmp_path, name):
    assert Picture.read(written(tmp_path / name, "RGB")).format == "PNG"


def test_what_is_not_read_is_named(tmp_path):
    PIL.Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "deep.png")
    PIL.Image.new("CMYK", (9, 9)).save(tmp_path / "print.jpg")
    frames = [PIL.Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "film.webp", save_all=True, append_images=frames[1:])
    (tmp_path / "text.png").write_text("no image")
    cut = written(tmp_path / "cut.png", "RGB")
    cut.write_bytes(cut.read_bytes()[:-900])
    for name, why in {
        "deep.png": "expected 8-bit RGB, grey or palette",
        "print.jpg": "an image of mode CMYK",
        "film.webp": "holds 2 images; expected one",
        "text.png": "not an image or damaged",
        "cut.png": "not an image or damaged",
        "none.png": "cannot be read",
    }.items():
        assert why in error_of(Picture.read, tmp_path / name)


def test_an_unknown_format_is_named_without_an_address_in_memory(tmp_path):
    frame = PIL.Image.fromarray(noise(9, 9))
    frame.save(tmp_path / "a.gif")
    frame.save(tmp_path / "a.pcx")
    assert "not an image that srq reads but GIF; save it as" in error_of(Picture.read, tmp_path / "a.gif")
    assert "not an image or damaged (no known format); expected" in error_of(Picture.read, tmp_path / "a.pcx")


def test_a_jpeg_with_a_second_image_behind_the_photo(tmp_path):
    """As phones and cameras write them: with a preview or a depth map, which the result does not have."""
    photo, depth = PIL.Image.fromarray(noise(24, 30)), PIL.Image.new("RGB", (12, 15))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[depth], exif=exif)
    photo.save(tmp_path / "alone.jpg")
    picture = Picture.read(tmp_path / "a.jpg")
    assert np.array_equal(picture.rgb, Picture.read(tmp_path / "alone.jpg").rgb)
    picture.write(tmp_path / "b.jpg")
    with PIL.Image.open(tmp_path / "b.jpg") as after:
        assert (after.format, after.size, after.getexif()[0x0112]) == ("JPEG", (30, 24), 6)


def test_pixels_can_be_written(tmp_path):
    PIL.Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    assert Picture.read(tmp_path / "a.png").rgb.flags.writeable


def test_broken_exif_does_not_matter(tmp_path):
    path = tmp_path / "a.jpg"
    written(path, "RGB", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    Picture.read(path).write(tmp_path / "b.jpg")
    with PIL.Image.open(tmp_path / "b.jpg") as after:
        assert after.size == (30, 24)


def test_a_bmp_of_5_bits_a_colour_is_refused(tmp_path):
    size = (2).to_bytes(4, "little"), (1).to_bytes(4, "little")
    header = (40).to_bytes(4, "little") + b"".join(size) + b"\1\0\x10\0" + bytes(24)
    (tmp_path / "a.bmp").write_bytes(
        b"BM" + (58).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + header + bytes(4)
    )
    assert error_of(Picture.read, tmp_path / "a.bmp").endswith("16 bit; expected 8-bit RGB, grey or palette")


def test_more_than_8_bits_of_a_ppm_are_refused(tmp_path):
    (tmp_path / "deep.ppm").write_bytes(b"P6 2 1 65535\n" + bytes(12))
    assert error_of(Picture.read, tmp_path / "deep.ppm").endswith(
        "an image of mode RGB, 16 bit; expected 8-bit RGB, grey or palette"
    )
    (tmp_path / "plain.ppm").write_bytes(b"P6 2 1 255\n" + bytes(6))
    assert Picture.read(tmp_path / "plain.ppm").rgb.shape == (1, 2, 3)
