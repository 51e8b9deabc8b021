"""Files are whole or not there, and refusals are one line."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.files import sha256_of, write_atomically


@pytest.mark.parametrize(("data", "content"), [(b"\x00\xff", b"\x00\xff"), ("é\r\n", b"\xc3\xa9\r\n"), ("", b"")])
def test_writes_bytes_and_text_as_they_are(tmp_path: Path, data: bytes | str, content: bytes) -> None:
    write_atomically(tmp_path / "a.json", data)
    assert (tmp_path / "a.json").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_replaces_the_old_file_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.json"
    write_atomically(path, "old, and longer")
    write_atomically(path, "new")
    assert path.read_text() == "new"


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "")
    (tmp_path / "b").touch()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("a" * 255), "x")
    assert (tmp_path / ("a" * 255)).read_text() == "x"


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(step, fail)
    with pytest.raises(SrqError if isinstance(failure, OSError) else type(failure)) as caught:
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    if isinstance(failure, OSError):
        assert str(caught.value) == f"cannot write {path}: No space left on device"


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SrqError, match=r"^cannot write .*file/a\.json: (File exists|Not a directory)$"):
        write_atomically(tmp_path / "file" / "a.json", "")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(SrqError, match=r"^cannot write .*a\.json: Is a directory$"):
        write_atomically(tmp_path / "a.json", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(SrqError, match=r"^cannot write .*a\.json: Permission denied$"):
        write_atomically(tmp_path / "closed" / "a.json", "")


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_sha256_of_a_missing_file_is_an_expected_failure(tmp_path: Path) -> None:
    with pytest.raises(SrqError, match=r"^cannot read .*gone: No such file or directory$"):
        sha256_of(tmp_path / "gone")
