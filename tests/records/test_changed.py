"""Which records changed since a commit."""

from __future__ import annotations

import subprocess

import pytest

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.changed import changed_records

STATE = "a-w4a4-x2-s0-0123456789ab.ba9876543210.safetensors"
RECORD = "a-w4a4-x2-s0-0123456789ab.json"


@pytest.fixture
def git(tmp_path, monkeypatch):
    """Run git in a repository that has one commit, with a record and its state in `results/`."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    def run(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "results").mkdir()
    run("init", "-q", "-b", "main")
    for name in (RECORD, STATE, "b.json"):
        (tmp_path / "results" / name).write_text("old")
    run("add", ".")
    run("commit", "-qm", "first")
    return run


@pytest.fixture
def results(git, tmp_path):
    return tmp_path / "results"


def names(found):
    return sorted(path.name for path in found)


def test_nothing_changed(results):
    assert changed_records(results, "main") == set()


def test_a_changed_record(results):
    (results / "b.json").write_text("new")
    assert changed_records(results, "main") == {(results / "b.json").resolve()}


@pytest.mark.parametrize("change", [lambda state: state.write_text("new"), lambda state: state.unlink()])
def test_a_state_that_changed_or_is_gone_stands_for_its_record(results, change):
    change(results / STATE)
    assert names(changed_records(results, "main")) == [RECORD]


def test_new_files_that_git_does_not_know_yet_and_names_that_it_would_quote(results):
    (results / 'ä "b" c.json').write_text("new")
    (results / "sample").mkdir()
    (results / "sample/d.json").write_text("new")
    assert names(changed_records(results, "main")) == ["d.json", 'ä "b" c.json']


def test_what_is_committed_on_a_branch(git, results):
    git("checkout", "-qb", "mine")
    (results / "c.json").write_text("new")
    git("add", ".")
    git("commit", "-qm", "mine")
    assert names(changed_records(results, "main")) == ["c.json"]


def test_what_only_the_other_branch_has_does_not_count(git, results):
    git("checkout", "-qb", "mine")
    git("checkout", "-q", "main")
    (results / "b.json").write_text("newer")
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "mine")
    assert changed_records(results, "main") == set()


def test_files_outside_the_folder_do_not_count(results):
    (results.parent / "c.json").write_text("new")
    assert changed_records(results, "main") == set()


@pytest.mark.parametrize("since", ["no-such-commit", "--output=x", ""])
def test_what_is_no_commit_is_refused(results, since):
    with pytest.raises(SrqError):
        changed_records(results, since)
    assert not (results / "x").exists()


def test_a_folder_outside_any_repository_is_refused(tmp_path):
    with pytest.raises(SrqError, match="not a git repository"):
        changed_records(tmp_path, "main")


def test_without_git(results, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SrqError, match="git is not installed"):
        changed_records(results, "main")
