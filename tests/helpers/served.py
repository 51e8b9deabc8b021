"""A file on a server, and what lies in the folder of downloads."""

from __future__ import annotations

import hashlib

from sr_ptq_bench.library.fetch import Downloads

CONTENT = bytes(range(256)) * 40
OTHER = CONTENT[::-1]
URL = "/release/file.bin"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ignore(_done: int, _total: int, _note: str = "") -> None:
    """Progress that nobody sees."""


def names(downloads: Downloads) -> list[str]:
    return sorted(path.name for path in downloads.folder.iterdir() if path.name != ".lock")
