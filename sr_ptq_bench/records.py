"""Records as files: their names, strict reading, atomic writing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from .errors import SrqError
from .files import read_whole, write_atomically
from .schema import Record, complaint, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from .schema import Hashes, PortableSpec

LARGEST_FILE = 2**24
LARGEST_BOUNDS = 2**28


@dataclass(frozen=True)
class Measured:
    """What a run leaves: its record, and the bounds that its scores were made with as a safetensors file."""

    record: Record
    bounds: bytes

    def write(self, folder: Path) -> Path:
        """Write both into `folder`, the bounds first; the record's path. Raises SrqError where the system refuses."""
        write_atomically(bounds_path(folder / name_of(self.record)), self.bounds)
        return write_record(self.record, folder)


def record_name(spec: PortableSpec, hashes: Hashes) -> str:
    """The file name of a run's record, known before the run: `dobi+dqc-w4a4-x2-s0-0123456789ab.json`."""
    return _name(spec, fingerprint(spec, hashes))


def name_of(record: Record) -> str:
    """The file name of a record."""
    return _name(record.spec, record.key)


def _name(spec: PortableSpec, key: str) -> str:
    return f"{spec.method}-{spec.bits}-x{spec.scale}-s{spec.seed}-{key[:12]}.json"


def bounds_path(record: Path) -> Path:
    """Where the bounds of a record are: beside it, `dobi+dqc-w4a4-x2-s0-0123456789ab.safetensors`."""
    return record.with_suffix(".safetensors")


def write_record(record: Record, folder: Path) -> Path:
    """Write the record under its own name into `folder`; raises SrqError where the system refuses."""
    path = folder / name_of(record)
    absent = {"complexity"} if record.complexity is None else None
    content = record.model_dump(mode="json", exclude=absent)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")
    return path


def read_record(path: Path) -> Record:
    """Read one record strictly; raises SrqError that names the file and the first thing wrong with it."""
    try:
        return Record.model_validate_json(read_whole(path, LARGEST_FILE), strict=True)
    except OSError as error:
        raise SrqError(f"cannot read record {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise SrqError(f"record {path}: {complaint(error, Record)}") from error


def read_records(folder: Path) -> list[Record]:
    """All records of a folder in the order of their file names; none where there is no such folder.

    A file that does not bear the name of its contents was edited or renamed by hand and raises SrqError.
    """
    paths = sorted(folder.glob("*.json"))
    records = [read_record(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        expected = name_of(record)
        if path.name != expected:
            raise SrqError(f"record {path} holds the run that belongs into {expected}")
    return records


def comparable(record: Record) -> dict[str, Any]:
    """What must be equal when the same run is repeated: all but times, memory and the machine."""
    return record.model_dump(
        mode="json",
        exclude={
            "timings": True,
            "created": True,
            "peak_memory_bytes": True,
            "environment": {"device", "threads", "platform", "cpu"},
        },
    )
