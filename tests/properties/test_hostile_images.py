"""Images of any bytes: pixels, or one line."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from hostile import (
    few,
    mutated,
    refused_in_one_line,
)
from hypothesis import given
from hypothesis import strategies as st
from refusals import error_of

from sr_ptq_bench.data.images import header
from sr_ptq_bench.data.images.pixels import decode, encode_png
from sr_ptq_bench.errors import SrqError


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (9, 7), (1, 200, 3)).save(buffer, kind)
    return buffer.getvalue()


@few
@given(st.data(), st.sampled_from(["PNG", "JPEG"]))
def test_an_image(data, kind):
    content = mutated(data, encoded(kind), within=80)
    with refused_in_one_line():
        assert decode(content, "image").nbytes <= 3 * header.MAX_PIXELS


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with a valid header of this size and more chunks."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    written = [
        struct.pack(">I", len(of)) + kind + of + struct.pack(">I", zlib.crc32(kind + of))
        for kind, of in (header, *chunks)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


BOMB = zlib.compress(b"\0" * 2**27, 9)


@pytest.mark.parametrize(
    "content",
    [
        png(2**31 - 1, 2**31 - 1),
        png(40000, 40000, (b"IDAT", BOMB)),
        png(0, 4),
        png(4, 4, (b"zTXt", b"a\0\0" + BOMB), (b"IDAT", b"")),
        png(4, 4, (b"iCCP", b"a\0\0" + BOMB), (b"IDAT", b"")),
    ],
    ids=["gigapixels", "bomb", "nothing", "text", "profile"],
)
def test_a_png_that_claims_gigabytes(content):
    assert error_of(decode, content, "image").startswith("image: ")


def test_a_png_takes_no_memory_for_a_cut_chunk(monkeypatch):
    """A chunk that announces 3.4 GB, in a file of 130 bytes; OpenCV would take them all."""
    seen = []
    imdecode = cv2.imdecode
    monkeypatch.setattr(
        cv2, "imdecode", lambda content, *flags: seen.append(bytes(content)) or imdecode(content, *flags)
    )
    whole = encode_png(np.zeros((12, 20, 3), np.uint8))
    place = whole.index(b"IDAT") - 4
    with pytest.raises(SrqError, match="x: "):
        decode(whole[:place] + (3_422_552_807).to_bytes(4, "big") + whole[place + 4 :], "x")
    assert all(b"IDAT" not in content for content in seen)


@given(st.integers(0, 400))
def test_a_png_that_ends_too_early_is_refused(missing):
    """Also where pixels lie in several chunks and the first ones are whole."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    one = buffer.getvalue()
    place = one.index(b"IDAT")
    stream = one[place + 4 : place + 4 + int.from_bytes(one[place - 4 : place], "big")]
    parts = [b"IDAT" + stream[start : start + 3000] for start in range(0, len(stream), 3000)]
    chunks = [(len(part) - 4).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for part in parts]
    many = one[: place - 4] + b"".join(chunks) + one[-12:]
    assert np.array_equal(decode(many, "x"), pixels)
    with pytest.raises(SrqError):
        decode(many[: -12 - 12 - missing], "x")
