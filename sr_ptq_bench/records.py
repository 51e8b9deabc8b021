"""Records as files: their names, strict reading, atomic writing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from .errors import SrqError
from .files import read_whole, say_nothing, set_aside, write_atomically
from .schema import Record, complaint, fingerprint, is_newer

if TYPE_CHECKING:
    from pathlib import Path

    from .files import Say
    from .schema import Hashes, PortableSpec

LARGEST_FILE = 2**24
LARGEST_BOUNDS = 2**28


class NewerRecordError(SrqError):
    """A record of a schema version that only a later srq knows."""


@dataclass(frozen=True)
class Measured:
    """What a run leaves: its record, and the bounds that its scores were made with as a safetensors file."""

    record: Record
    bounds: bytes

    def write(self, folder: Path, say: Say = say_nothing) -> Path:
        """Write both into `folder`, the bounds first; the record's path. Raises SrqError where the system refuses.

        A damaged record of that name is set aside before, which `say` tells.
        """
        path = folder / name_of(self.record)
        make_room(path, say)
        write_atomically(bounds_path(path), self.bounds)
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
        kind = NewerRecordError if is_newer(error) else SrqError
        raise kind(f"record {path}: {complaint(error, Record)}") from error


def read_records(folder: Path, skip: Say | None = None) -> list[Record]:
    """All records of a folder in the order of their file names; none where there is no such folder.

    A file that is damaged, of another schema version, or does not bear the name of its contents raises SrqError; with
    `skip` it is left out, and `skip` is told why.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(_named_record(path))
        except SrqError as error:
            if skip is None:
                raise
            skip(str(error))
    return records


def _named_record(path: Path) -> Record:
    """One that bears another name was edited or renamed by hand."""
    record = read_record(path)
    expected = name_of(record)
    if path.name != expected:
        raise SrqError(f"record {path} holds the run that belongs into {expected}")
    return record


def make_room(path: Path, say: Say) -> None:
    """Set a damaged record aside before a new one takes its name; raises SrqError for one of a later srq."""
    if not path.exists():
        return
    try:
        read_record(path)
    except NewerRecordError as error:
        raise SrqError(f"{error}; it is not overwritten: use a newer srq, or another --out") from error
    except SrqError as error:
        say(f"{error}; {set_aside(path)}")


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
