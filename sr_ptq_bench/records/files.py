"""Results of runs as files: a record, and next to it the state of its student."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ..errors import SrqError
from ..storage.files import ABANDONED, entries, read_whole, set_aside, write_atomically
from .complaint import complaint, is_newer
from .record import Record
from .resolved import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from ..progress import Say
    from .resolved import Hashes, ResolvedSpec

SENSITIVITY = ".sensitivity"
"""The suffix of a file beside a record, which holds what `srq analyze --keep` has found of its state."""
LARGEST_FILE = 2**24
LARGEST_STATE = 2**31


class ForeignRecordError(SrqError):
    """A record that may be whole, but cannot be read here: of another user, or of a later srq. It stays."""


class NewerRecordError(ForeignRecordError):
    """A record of a schema version that only a later srq knows."""


@dataclass(frozen=True)
class RunResult:
    """What a run leaves: its record, and the state of the student that was scored."""

    record: Record
    state: bytes

    def write(self, folder: Path, say: Say) -> Path:
        """Write both into `folder`; the path of the record. Raises SrqError if the system refuses.

        The name of a state holds its hash, and the record names that hash and is written last. So a reader sees a
        record with its own state, even if the writer is killed or another process writes. A damaged record of that name
        is set aside first, which `say` tells.
        """
        path = folder / name_of(self.record)
        make_room(path, say)
        if path.is_file() and read_record(path).state_sha256 != self.record.state_sha256:
            path.with_suffix(SENSITIVITY).unlink(missing_ok=True)  # of another state
        write_atomically(state_path(path, self.record), self.state)
        write_record(self.record, folder)
        _remove_old_states(path, self.record)
        return path


def _remove_old_states(path: Path, record: Record) -> None:
    """Remove states of earlier results of this name; not young ones, whose record may be about to be written."""
    for state in path.parent.glob(f"{path.stem}.*.safetensors"):
        with suppress(OSError):
            if state != state_path(path, record) and time.time() - state.stat().st_mtime > ABANDONED:
                state.unlink()


def record_name(spec: ResolvedSpec, hashes: Hashes) -> str:
    """The file name of a run's record, known before the run: `dobi+dqc-w4a4-x2-s0-0123456789ab.json`."""
    return _name(spec, fingerprint(spec, hashes))


def name_of(record: Record) -> str:
    """The file name of a record."""
    return _name(record.spec, record.key)


def _name(spec: ResolvedSpec, key: str) -> str:
    return f"{spec.method}-{spec.bits}-x{spec.scale}-s{spec.seed}-{key[:12]}.json"


def state_path(path: Path, record: Record) -> Path:
    """Where the state of the record at `path` is: `dobi+dqc-w4a4-x2-s0-0123456789ab.ba9876543210.safetensors`."""
    return path.with_name(f"{path.stem}.{record.state_sha256[:12]}.safetensors")


def read_state(path: Path, record: Record) -> bytes:
    """The state of the record at `path`; raises SrqError if it is missing or is not the one that was scored."""
    file = state_path(path, record)
    if file.is_fifo():
        raise ForeignRecordError(f"state {file} is a pipe; expected a file")
    try:
        state = read_whole(file, LARGEST_STATE)
    except FileNotFoundError as error:
        raise SrqError(f"record {path} lacks its state {file.name}; measure again") from error
    except OSError as error:
        raise ForeignRecordError(f"cannot read state {file}: {error.strerror or error}") from error
    if hashlib.sha256(state).hexdigest() != record.state_sha256:
        raise SrqError(f"state {file} is not that of the record {path.name}; measure again")
    return state


def read_result(path: Path) -> RunResult:
    """A record with the right file name, and its state; raises SrqError if either is missing or damaged."""
    record = _named_record(path)
    return RunResult(record, read_state(path, record))


def write_record(record: Record, folder: Path) -> Path:
    """Write the record under its own name into `folder`; raises SrqError if the system refuses."""
    path = folder / name_of(record)
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")
    return path


def read_record(path: Path) -> Record:
    """Read one record strictly; raises SrqError that names the file and its first fault."""
    try:
        return Record.model_validate_json(read_whole(path, LARGEST_FILE), strict=True)
    except OSError as error:
        kind = SrqError if isinstance(error, FileNotFoundError) else ForeignRecordError
        raise kind(f"cannot read record {path}: {error.strerror or error}") from error
    except ValidationError as error:
        kind = NewerRecordError if is_newer(error) else SrqError
        raise kind(f"record {path}: {complaint(error, Record)}") from error


def record_files(folder: Path) -> list[Path]:
    """The files of a folder that should be records; hidden ones, as macOS makes, are none, and pipes.

    None if there is no such folder; raises SrqError if it cannot be read.
    """
    return [path for path in entries(folder) if path.suffix == ".json" and not path.is_fifo()]


def read_records(folder: Path, skip: Say | None = None) -> list[Record]:
    """All records of a folder in the order of their file names; none if there is no such folder.

    A file that is damaged, of another schema version, or misnamed raises SrqError; with `skip` it is left out, and
    `skip` gets the reason.
    """
    records = []
    for path in record_files(folder):
        try:
            records.append(_named_record(path))
        except SrqError as error:
            if skip is None:
                raise
            skip(str(error))
    return records


def _named_record(path: Path) -> Record:
    """A record with another file name was edited or renamed by hand."""
    record = read_record(path)
    expected = name_of(record)
    if path.name != expected:
        raise SrqError(f"record {path} is misnamed; expected {expected}")
    return record


def make_room(path: Path, say: Say) -> None:
    """Set a damaged record aside before a new one takes its name; raises ForeignRecordError for one that stays."""
    fault = fault_of(path) if path.exists() else None
    if fault:
        say(f"{fault}; {set_aside(path)}")


def fault_of(path: Path) -> SrqError | None:
    """What is wrong with the record at `path`; raises ForeignRecordError for one that stays."""
    try:
        read_record(path)
    except ForeignRecordError as error:
        newer = "a newer srq, or " if isinstance(error, NewerRecordError) else ""
        raise type(error)(f"{error}; it is not overwritten: use {newer}another --out") from error
    except SrqError as error:
        return error
    return None
