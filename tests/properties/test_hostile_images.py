"""Images of any bytes: pixels, or one line."""

from __future__ import annotations

import io
import struct
import zlib

import PIL.Image
import pytest
from hostile import (
    few,
    mutated,
    refusal,
    refused_in_one_line,
)
from hypothesis import given
from hypothesis import strategies as st

from sr_ptq_bench.data.images import header
from sr_ptq_bench.data.images.pixels import decode


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
    assert refusal(decode, content, "image").startswith("image: ")
