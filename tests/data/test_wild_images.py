"""Images as cameras, editors and the web leave them: what says nothing of the pixels keeps none from being read."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import error_of
from saved_images import IMAGE, PIXELS, saved

from sr_ptq_bench.data.datasets import load_dataset
from sr_ptq_bench.data.images.header import check_bytes
from sr_ptq_bench.data.images.pixels import decode, portable, write_image
from sr_ptq_bench.protocol.suite import DataSource


def exif(kind: int, count: int, value: bytes, order: str = ">") -> bytes:
    """EXIF data whose one entry is an orientation, stored in this way."""
    entry = struct.pack(f"{order}HHI", 0x0112, kind, count) + value
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}H", 1) + entry + struct.pack(f"{order}I", 0)


BROKEN = {
    "nothing": b"",
    "text": b"not exif",
    "no TIFF": bytes.fromhex("0008000201120003"),
    "cut off": exif(3, 1, b"\0\6\0\0")[:14],
    "offset beyond the end": b"MM" + struct.pack(">HI", 42, 2**31),
    "BYTE": exif(1, 1, b"\6\0\0\0"),
    "BYTE, little endian": exif(1, 1, b"\6\0\0\0", "<"),
    "text 6": exif(2, 2, b"6\0\0\0"),
    "undefined": exif(7, 1, b"\6\0\0\0"),
    "float": exif(11, 1, struct.pack(">f", 6.0)),
    "rational": exif(5, 1, struct.pack(">I", 26)) + struct.pack(">II", 6, 1),
    "no values": exif(3, 0, b"\0\6\0\0"),
    "too many values": exif(3, 2**31, b"\0\6\0\0"),
    "unknown type": exif(77, 1, b"\0\6\0\0"),
    "0": exif(3, 1, b"\0\0\0\0"),
    "9": exif(3, 1, b"\0\x09\0\0"),
}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, behind: bytes = b"") -> bytes:
    """The image as a PNG with more chunks before its pixels, and behind them."""
    content = saved("PNG")
    return content[:33] + b"".join(chunks) + content[33:-12] + behind + content[-12:]


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """The image as a JPEG with more APPn segments."""
    content = saved("JPEG", quality=95)
    more = b"".join(struct.pack(">BBH", 0xFF, 0xE0 + number, len(data) + 2) + data for number, data in segments)
    return content[:2] + more + content[2:]


def with_exif(kind: str, content: bytes) -> bytes:
    if kind == "PNG":
        return png(chunk(b"eXIf", content))
    if kind == "JPEG":
        return jpeg((1, b"Exif\0\0" + content))
    return saved("WEBP", lossless=True, exif=content)


def plain(kind: str) -> np.ndarray:
    """The pixels of the same file without metadata, as OpenCV reads them."""
    content = {"PNG": png, "JPEG": jpeg, "WEBP": lambda: saved("WEBP", lossless=True)}[kind]()
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_exif_leaves_the_image_upright(kind, content):
    file = with_exif(kind, content)
    assert check_bytes(file, "x") == (12, 20)
    assert np.array_equal(decode(file, "x"), plain(kind))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_valid_orientation_turns_as_pillow_does(kind, orientation, order):
    file = with_exif(kind, exif(3, 1, struct.pack(f"{order}HH", orientation, 0), order))
    turned = PIL.Image.fromarray(plain(kind))
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(PIL.ImageOps.exif_transpose(turned))
    assert check_bytes(file, "x") == expected.shape[:2]
    assert np.array_equal(decode(file, "x"), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_once(orientation):
    file = saved("TIFF", tiffinfo={0x0112: orientation})
    assert np.array_equal(decode(file, "x"), np.asarray(PIL.Image.open(io.BytesIO(file))))


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60),
    st.sampled_from(["PNG", "JPEG"]),
    st.sampled_from([b"", b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0"]),
)
def test_no_exif_keeps_an_image_from_being_read(content, kind, start):
    pixels = decode(with_exif(kind, start + content), "x")
    assert np.array_equal(np.sort(pixels, axis=None), np.sort(plain(kind), axis=None))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 15),
    st.sampled_from([b"", b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0", b"http://ns.adobe.com/xap/1.0/\0"]),
    st.binary(max_size=60),
)
def test_no_segment_of_a_jpeg_keeps_it_from_being_read(number, start, content):
    assert np.array_equal(decode(jpeg((number, start + content)), "x"), plain("JPEG"))


LARGE = 2 * 2**20
NOISE = np.random.default_rng(1).bytes(LARGE)
CHUNKS = {
    "tEXt": chunk(b"tEXt", b"k\0" + b"a" * 20 * 2**20),
    "zTXt": chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * LARGE)),
    "iTXt": chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"a" * LARGE)),
    "iCCP": chunk(b"iCCP", b"k\0\0" + zlib.compress(NOISE)),
    "a bomb": chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 2**27)),
    "many": b"".join(chunk(b"tEXt", b"k%d\0" % i + b"a" * 2**20) for i in range(70)),
    "a private one": chunk(b"prVt", b"a" * 30 * 2**20),
    "eXIf": chunk(b"eXIf", exif(3, 1, b"\0\6\0\0") + b"a" * 9 * 2**20),
    "no profile": chunk(b"iCCP", b"nothing"),
    "no method": chunk(b"zTXt", b"k\0\7"),
    "empty pHYs": chunk(b"pHYs", b""),
    "empty gAMA": chunk(b"gAMA", b""),
    "a wrong checksum": chunk(b"tEXt", b"k\0a")[:-1] + b"?",
}


@pytest.mark.parametrize("content", CHUNKS.values(), ids=CHUNKS)
def test_chunks_that_decide_no_pixel_are_passed_over(content):
    for file in (png(content), png(behind=content)):
        assert check_bytes(file, "x") == (12, 20)
        assert np.array_equal(decode(file, "x"), PIXELS)


def test_a_damaged_critical_chunk_is_damage():
    file = bytearray(png())
    file[33 + 12] ^= 1
    assert "x: " in error_of(decode, bytes(file), "x")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_pages_and_animations_are_refused(kind):
    file = saved(kind, save_all=True, append_images=[PIL.ImageOps.invert(IMAGE)])
    assert PIL.Image.open(io.BytesIO(file)).n_frames == 2
    for read in (check_bytes, decode):
        assert error_of(read, file, "x") == "x: a file of several images; save the one that you mean as PNG"


@pytest.mark.parametrize("between", [b"", b"\n"])
@pytest.mark.parametrize("modes", [("RGB", "RGB"), ("L", "RGB"), ("RGB", "L")])
def test_a_ppm_file_of_two_images_is_refused(between, modes):
    file = between.join(saved("PPM", IMAGE.convert(mode)) for mode in modes)
    for read in (check_bytes, decode):
        assert error_of(read, file, "x") == "x: a file of several images; save the one that you mean as PNG"


def test_bytes_behind_a_ppm_image_are_passed_over():
    file = saved("PPM") + b"\nP7"
    assert np.array_equal(decode(file, "x"), PIXELS)


def test_a_tiff_of_signed_numbers_is_refused():
    file = saved("TIFF", IMAGE.convert("L"), tiffinfo={339: 2})
    assert "x: an image of signed numbers; expected 8-bit RGB or grey" in error_of(decode, file, "x")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "MPO"])
def test_one_page_and_a_photo_with_a_preview_are_read(kind):
    more = [PIL.ImageOps.invert(IMAGE)] if kind == "MPO" else []
    file = saved(kind, save_all=True, append_images=more, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(decode(file, "x"), np.asarray(PIL.Image.open(io.BytesIO(file))))


def test_five_bits_of_a_colour_are_refused():
    head = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 0, 4, 0, 0, 0, 0)
    file = b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + head + struct.pack("<HH", 0x7FFF, 0x1F)
    assert error_of(decode, file, "x") == "x: a 16-bit image; expected 8-bit RGB or grey, so convert it first"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("content", [BROKEN["BYTE, little endian"], BROKEN["no values"], exif(3, 1, b"\0\6\0\0")])
def test_basicsr_gets_bytes_that_it_decodes_alike(tmp_path, kind, content):
    """Whatever OpenCV makes of EXIF data: BasicSR asks it for the pixels."""
    from basicsr.utils import imfrombytes

    from sr_ptq_bench import basicsr_compat  # noqa: F401 - makes basicsr importable

    file = with_exif(kind, content)
    assert np.array_equal(imfrombytes(portable(file, "x"))[:, :, ::-1], decode(file, "x"))
    (tmp_path / "HR").mkdir()
    (tmp_path / "HR" / f"a.{kind.lower()}").write_bytes(file)
    hr = decode(file, "x")
    write_image(tmp_path / "LR" / "a.png", hr[::2, ::2])
    (pair,) = load_dataset("x", DataSource(hr=tmp_path / "HR", lr=str(tmp_path / "LR")), 2)
    assert np.array_equal(pair.hr, hr)
