"""Files from the network: downloads are resumed and checked by SHA-256; a file is whole or absent.

pooch decides whether a file must be fetched and checks what arrives. This module gives it a downloader, and records
the checksums of files without a published checksum. This is the one module that imports pooch and requests.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pooch
import requests
from pydantic import TypeAdapter

from ..errors import SrqError
from ..progress import SILENT
from ..storage.files import read_whole, sha256_of, write_atomically
from ..storage.locks import locked
from .registry import file_name

if TYPE_CHECKING:
    from pathlib import Path

    from ..progress import Progress

STALL = 30.0
"""Seconds without a byte after which a server counts as stalled."""
_CHUNK = 2**16
_LARGEST_RECORD = 2**20
_CHECKSUMS = TypeAdapter(dict[str, str])
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Downloads:
    """A folder of downloads under their own names, and recorded checksums if none is published."""

    folder: Path
    stall: float = STALL

    def fetch(self, url: str, published: str | None, report: Progress) -> Path:
        """The file of a URL, fetched unless a whole copy is here; raises SrqError that names file, URL and reason.

        Without a published SHA-256, that of the first download is recorded, and every later copy must have it.
        """
        name = file_name(url)
        pooch.get_logger().setLevel("ERROR")  # progress and failures are told by srq
        try:
            with locked(self.folder / ".lock", "fetches files", SILENT.say):
                known = published or self.recorded(name)
                downloader = Resuming(self.folder / f"{name}.part", report, self.stall)
                pooch.retrieve(url, known, name, self.folder, downloader=downloader)
                if known is None:
                    self._record(name)
        except requests.RequestException as error:
            raise SrqError(f"cannot fetch {name} from {url}: {_reason(error, self.stall)}") from error
        except OSError as error:
            raise SrqError(f"cannot keep {name} in {self.folder}: {error.strerror or error}") from error
        except ValueError as error:  # pooch's exception for a wrong checksum; it has removed the file
            raise SrqError(f"cannot use {name} from {url}: {error}") from error
        return self.folder / name

    def keep(self, file: Path, name: str, published: str | None) -> Path:
        """Copy a file that the user has; raises SrqError unless it has the known SHA-256."""
        found = sha256_of(file)
        known = published or self.recorded(name)
        if known not in (None, found):
            raise SrqError(f"{file} is not {name}: its sha256 is {found}, expected {known}")
        write_atomically(self.folder / name, file.read_bytes())
        if known is None:
            self._record(name)
        return self.folder / name

    def recorded(self, name: str) -> str | None:
        """The SHA-256 of the first download of a file; None if it was never fetched."""
        return self._records().get(name)

    def _record(self, name: str) -> None:
        records = self._records() | {name: sha256_of(self.folder / name)}
        write_atomically(self._path, json.dumps(records, indent=1, sort_keys=True) + "\n")

    @property
    def _path(self) -> Path:
        return self.folder / "sha256.json"

    def _records(self) -> dict[str, str]:
        try:
            return _CHECKSUMS.validate_json(read_whole(self._path, _LARGEST_RECORD))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, SrqError) as error:
            raise SrqError(f"{self._path} is damaged ({error}); remove it and fetch the files again") from error


@dataclass(frozen=True)
class Resuming:
    """A downloader for pooch that keeps what has arrived in `part` and asks for the rest.

    It tries again as long as every try brings some bytes. It continues only the same version of a file, by its ETag or
    time of modification; otherwise the file is fetched from the start.
    """

    part: Path
    report: Progress
    stall: float

    def __call__(self, url: str, output_file: Any, _pooch: object, check_only: bool | None = False) -> None:
        """Write the file of `url` to `output_file`, as pooch asks; raises requests' errors."""
        while not self._receive(url):
            pass
        self.part.replace(output_file)
        self._version.unlink(missing_ok=True)

    @property
    def _version(self) -> Path:
        """The file with the version that the part belongs to."""
        return self.part.with_suffix(".version")

    def _receive(self, url: str) -> bool:
        """One try; returns whether the file is whole now. Raises if nothing has arrived."""
        before = self._size()
        try:
            return self._stream(url, before)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if self._size() <= before:
                raise
            return False

    def _stream(self, url: str, have: int) -> bool:
        version = self._read_version() if have else ""
        headers = {"Accept-Encoding": "identity"}
        if version:
            headers |= {"Range": f"bytes={have}-", "If-Range": version}
        with requests.get(url, headers=headers, stream=True, timeout=self.stall) as response:
            if version and response.status_code == _RANGE_NOT_SATISFIABLE:
                self.part.unlink()
                return False
            response.raise_for_status()
            _check_redirect(url, response.url)
            start = _start(response)
            if start not in (0, have):
                raise requests.exceptions.InvalidHeader(f"the server sent bytes from {start}, asked from {have}")
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdecimal() and "Content-Encoding" not in response.headers else None
            with self.part.open("ab" if start else "wb") as file:
                self._version.write_text(_version_of(response), encoding="utf-8")  # after the old part is cut off
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    done = file.tell()
                    self.report(done, max(total or 0, done), f"{done / 1e6:.1f} of {(total or 0) / 1e6:.1f} MB")
        if total is not None and self._size() < total:
            raise requests.ConnectionError(f"the connection broke off after {self._size()} of {total} bytes")
        return True

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _read_version(self) -> str:
        with suppress(OSError, UnicodeDecodeError):
            return self._version.read_text(encoding="utf-8")
        return ""


def _start(response: requests.Response) -> int:
    """The position of the first byte that a response holds."""
    if response.status_code != requests.codes.partial_content:
        return 0
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else -1


def _version_of(response: requests.Response) -> str:
    """The identity of this version of the file; empty if the server does not say."""
    tag = response.headers.get("ETag", "")
    return response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag


def _check_redirect(asked: str, answered: str) -> None:
    if asked.startswith("https:") and not answered.startswith("https:"):
        raise requests.exceptions.InvalidURL(f"it leads to {answered}, which is not encrypted")


def _reason(error: requests.RequestException, stall: float) -> str:
    """What went wrong, in plain words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server says {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"nothing has arrived for {stall:g} seconds"
    if "Max retries exceeded" in str(error):
        return "no connection"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return str(error)
