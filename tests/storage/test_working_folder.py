"""Folders for work in progress: gone at the end, and after a kill with the next."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from sr_ptq_bench.storage.working_folder import remove_abandoned, working_folder

HOLD = """
import sys, time
from pathlib import Path
from sr_ptq_bench.storage.working_folder import working_folder
with working_folder(Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_folder_is_gone_at_the_end(tmp_path):
    with working_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())


def test_a_folder_is_gone_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), working_folder(tmp_path):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_may_have_moved(tmp_path):
    with working_folder(tmp_path) as folder:
        folder.rename(tmp_path / "done")
    assert [path.name for path in tmp_path.iterdir()] == ["done"]


def test_two_folders_at_once(tmp_path):
    with working_folder(tmp_path) as one, working_folder(tmp_path) as other:
        assert one != other
        assert one.is_dir()
        assert other.is_dir()


def test_a_killed_process_s_folder_is_removed_and_a_living_one_s_stays(tmp_path):
    with (
        subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as dying,
        subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as living,
    ):
        assert dying.stdout is not None
        assert living.stdout is not None
        dead, alive = dying.stdout.readline().strip(), living.stdout.readline().strip()
        dying.send_signal(signal.SIGKILL)
        dying.wait()
        remove_abandoned(tmp_path)
        assert sorted(str(path) for path in tmp_path.iterdir()) == sorted([alive, f"{alive}.lock"])
        assert dead != alive
        living.send_signal(signal.SIGKILL)
    with working_folder(tmp_path) as folder:
        assert {path.name for path in tmp_path.iterdir()} == {folder.name, f"{folder.name}.lock"}
    assert not list(tmp_path.iterdir())


def test_only_what_has_a_lock_of_ours_is_removed(tmp_path):
    """A process may be killed before it makes the folder. What else begins with .srq- belongs to somebody else."""
    name = ".srq-0123456789abcdef"
    (tmp_path / f"{name}.lock").touch()
    theirs = [".srq-home", ".srq-fedcba9876543210", ".srq-notes.lock", ".srq-file.tmp", "mine"]
    for other in theirs:
        (tmp_path / other).mkdir()
        (tmp_path / other / "precious").touch()
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(theirs)
    assert all((tmp_path / other / "precious").exists() for other in theirs)


def test_a_place_that_is_not_there(tmp_path):
    remove_abandoned(tmp_path / "nothing")
    assert not list(tmp_path.iterdir())
