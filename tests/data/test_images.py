"""Reading, writing and refusing single images."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import noise

from sr_ptq_bench.data.images.folder import list_images
from sr_ptq_bench.data.images.header import check_bytes, check_image
from sr_ptq_bench.data.images.pixels import decode, encode_png, read_image, write_image
from sr_ptq_bench.errors import SrqError


def png_of_size(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header says this and that holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"])
def test_reads_the_pixels_that_opencv_reads(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    PIL.Image.fromarray(noise(20, 30)).save(path)
    image = read_image(path)
    assert image.shape == (20, 30, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, cv2.imread(str(path))[:, :, ::-1])
    assert check_image(path) == (20, 30)


def test_png_keeps_every_pixel(tmp_path):
    write_image(tmp_path / "image.png", noise(5, 7))
    assert np.array_equal(read_image(tmp_path / "image.png"), noise(5, 7))
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_grey_is_read_as_rgb(tmp_path, suffix):
    path = tmp_path / f"grey.{suffix}"
    PIL.Image.fromarray(noise(6, 4)[:, :, 0]).save(path)
    image = read_image(path)
    assert image.shape == (6, 4, 3)
    assert np.array_equal(image[:, :, 0], image[:, :, 2])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_the_size_is_that_of_the_upright_image(tmp_path, suffix):
    path = tmp_path / f"turned.{suffix}"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(noise(20, 30)).save(path, exif=exif)
    assert check_image(path) == read_image(path).shape[:2] == (30, 20)


@pytest.mark.parametrize(
    ("mode", "suffix", "what"),
    [
        ("1", "png", "1-bit"),
        ("P", "png", "palette"),
        ("LA", "png", "alpha"),
        ("RGBA", "png", "alpha"),
        ("I;16", "png", "16-bit"),
        ("CMYK", "jpg", "CMYK"),
        ("P", "bmp", "palette"),
        ("I", "tif", "32-bit"),
        ("F", "tif", "floating-point"),
        ("I;16", "tif", "16-bit"),
        ("RGBA", "tif", "alpha"),
    ],
)
def test_other_modes_are_refused_by_name(tmp_path, mode, suffix, what):
    path = tmp_path / f"odd.{suffix}"
    if mode == "I;16":
        PIL.Image.fromarray(noise(4, 4)[:, :, 0].astype(np.uint16)).save(path)
    else:
        PIL.Image.fromarray(noise(4, 4)).convert(mode).save(path)
    for read in (check_image, read_image):
        with pytest.raises(SrqError, match=rf"odd\.{suffix}: .*{what}.*expected 8-bit RGB or grey"):
            read(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_rgb_is_refused_though_pillow_calls_it_rgb(tmp_path, suffix):
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), noise(4, 4).astype(np.uint16) * 257)
    with pytest.raises(SrqError, match="a 16-bit image"):
        check_image(path)


def test_transparent_colour_and_shallow_grey_are_refused(tmp_path):
    PIL.Image.fromarray(noise(4, 4)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    with pytest.raises(SrqError, match="transparent colour"):
        check_image(tmp_path / "a.png")
    with pytest.raises(SrqError, match="less than 8 bit"):
        check_bytes(png_of_size(8, 8, bits=4, colour=0), "b.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.98])
def test_truncated_files_are_refused(tmp_path, suffix, part):
    path = tmp_path / f"cut.{suffix}"
    PIL.Image.fromarray(noise(40, 40)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(SrqError, match=rf"cut\.{suffix}: not an image or damaged"):
        read_image(path)


def test_a_png_without_its_last_byte_is_refused():
    with pytest.raises(SrqError, match="image: OpenCV does not decode"):
        decode(encode_png(noise(4, 4))[:-1], "image")


@pytest.mark.parametrize(("width", "height"), [(9000, 8000), (10000, 9000), (100000, 100000)])
def test_absurd_sizes_are_refused_by_the_header(width, height):
    with pytest.raises(SrqError, match="more than 67108864"):
        check_bytes(png_of_size(width, height), "huge.png")


def test_gifs_and_texts_are_no_images(tmp_path):
    PIL.Image.fromarray(noise(4, 4)).save(tmp_path / "animated.gif")
    (tmp_path / "animated.gif").rename(tmp_path / "animated.png")
    (tmp_path / "text.png").write_text("hello")
    for name in ("animated.png", "text.png"):
        with pytest.raises(SrqError, match="not an image"):
            read_image(tmp_path / name)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(SrqError, match=r"nothing\.png: no such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(SrqError, match="not a file"):
        read_image(tmp_path)
    with pytest.raises(SrqError, match="cannot be read"):
        read_image(tmp_path / ("n" * 300 + ".png"))


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\x00", b"RIFF"]),
)
def test_bytes_are_an_image_or_an_error_of_one_line(data, magic):
    with pytest.raises(SrqError) as error:
        decode(magic + data, "fuzz")
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=20)  # a damaged length makes OpenCV reserve much memory
@given(st.data())
def test_damaged_headers_never_escape(data):
    buffer = io.BytesIO()
    suffix = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP"]))
    PIL.Image.new("RGB", (9, 7), (1, 200, 3)).save(buffer, suffix)
    damaged = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(len(damaged), 120) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(damaged), "fuzz")
    except SrqError as error:
        assert str(error).startswith("fuzz: ")
    else:
        assert image.dtype == np.uint8


def test_writes_png_only_and_says_where_it_cannot(tmp_path):
    with pytest.raises(SrqError, match=r"name the file image\.png"):
        write_image(tmp_path / "image.jpg", noise(2, 2))
    (tmp_path / "file").write_text("")
    with pytest.raises(SrqError, match="cannot write"):
        write_image(tmp_path / "file" / "image.png", noise(2, 2))
    with pytest.raises(ValueError, match="uint8"):
        write_image(tmp_path / "image.png", noise(2, 2).astype(np.float32))


def test_lists_images_by_name_without_hidden_and_other_files(tmp_path):
    for name in ("b.PNG", "a.jpg", "Thumbs.db", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG"]


def test_folders_without_images_are_named(tmp_path):
    with pytest.raises(SrqError, match="no images in this folder"):
        list_images(tmp_path)
    with pytest.raises(SrqError, match="missing: cannot be read"):
        list_images(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(SrqError, match="file: cannot be read"):
        list_images(tmp_path / "file")
