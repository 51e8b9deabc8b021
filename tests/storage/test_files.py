"""Files are whole or not there, and refusals are one line."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.storage.files import ABANDONED, read_sealed, set_aside, sha256_of, write_atomically, write_sealed


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


def test_what_a_killed_process_was_writing_is_removed_after_an_hour(tmp_path: Path) -> None:
    names = [".srq-0123456789abcdef.tmp", ".srq-fedcba9876543210.tmp", ".srq-notes.tmp"]
    old, new, theirs = (tmp_path / name for name in names)
    for path in (old, new, theirs):
        path.touch()
    past = new.stat().st_mtime - ABANDONED - 1
    for path in (old, theirs):
        os.utime(path, (past, past))
    write_atomically(tmp_path / "a", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, theirs.name, "a"]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 9])
def test_a_sealed_file_comes_back(tmp_path: Path, data: bytes) -> None:
    said: list[str] = []
    write_sealed(tmp_path / "a", data)
    assert read_sealed(tmp_path / "a", said.append) == data
    assert said == []


def test_a_sealed_file_that_is_not_there_is_nothing_to_say(tmp_path: Path) -> None:
    said: list[str] = []
    assert read_sealed(tmp_path / "a", said.append) is None
    assert said == []


def test_every_truncation_and_every_flipped_bit_is_noticed_and_set_aside(tmp_path: Path) -> None:
    path, said = tmp_path / "a.json", []
    write_sealed(path, b"data")
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    for content in damaged:
        path.write_bytes(content)
        assert read_sealed(path, said.append) is None
        assert (tmp_path / "a.json.bad").read_bytes() == content
        assert not path.exists()
    assert said == [f"{path} is damaged; it is now a.json.bad"] * len(damaged)


def test_a_damaged_file_that_cannot_be_renamed_is_named_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.bad").mkdir()
    (tmp_path / "a").touch()
    assert set_aside(tmp_path / "a").startswith("it cannot be renamed: ")
