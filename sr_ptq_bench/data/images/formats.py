"""Formats of image files, by their names and by their first bytes."""

from __future__ import annotations

SUFFIXES = tuple(
    ".png .jpg .jpeg .jpe .jfif .jif .bmp .dib .tif .tiff .webp .ppm .pgm .pnm".split()  # noqa: SIM905
)

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")

NOT_READ = frozenset(
    ".apng .arw .avif .cr2 .cr3 .dds .dng .exr .fit .fits .gif .hdr .heic .heif .hif .ico .j2c .j2k .jfi .jls .jp2 "  # noqa: SIM905
    ".jpc .jpf .jpg2 .jpm .jpx .jxl .jxr .mpo .nef .orf .pam .pbm .pcx .pfm .psd .qoi .raf .ras .rw2 .sgi .svg .tga "
    ".wdp .xcf".split()
)
"""Suffixes of other image formats."""

IMAGE_KINDS = ("PNG", "JPEG", "GIF", "WebP", "TIFF", "JPEG 2000", "JPEG XL", "Photoshop", "OpenEXR", "Radiance HDR")

_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"<svg": "SVG",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
    b"%PDF": "PDF",
    b"PK\x03\x04": "zip",
    b"\x93NUMPY": "NumPy",
    b"version https://git-lfs": "Git LFS (a pointer, not the file: run `git lfs pull`)",
}


def kind_of(start: bytes) -> str | None:
    """The format of a file by its first bytes; None if they match no known signature."""
    if start.startswith(b"RIFF"):  # as sounds and films do
        return "WebP" if start[8:12] == b"WEBP" else None
    return next((kind for signature, kind in _SIGNATURES.items() if start.startswith(signature)), None)
