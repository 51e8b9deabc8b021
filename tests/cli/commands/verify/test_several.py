"""Several records in one call: named, in folders, or changed since a commit."""

from __future__ import annotations

import subprocess

from forged import edited, shift

from sr_ptq_bench.records.files import read_record, state_path


def test_several_records_in_one_call(measured, verify):
    paths = [measured(bits=bits) for bits in (2, 4)]
    outcome = verify(*paths)
    assert outcome.status == 0
    assert [line for line in outcome.out.splitlines() if not line.startswith(" ")] == [str(path) for path in paths]


def test_a_folder_stands_for_its_records(measured, verify, tmp_path):
    paths = sorted(measured(bits=bits) for bits in (2, 4))
    for folder in (paths[0].parent, tmp_path / "out/results"):
        outcome = verify(folder)
        assert outcome.status == 0, outcome.err
        assert [line for line in outcome.out.splitlines() if not line.startswith(" ")] == list(map(str, paths))
    assert (
        verify(tmp_path / "out").err == f"srq: {tmp_path / 'out'}: no records in this folder or its direct subfolders\n"
    )


def test_every_bad_record_is_named_and_the_good_ones_are_still_verified(measured, verify):
    good, altered, lost, damaged = (measured("-o", f"p={p}", method="percentile") for p in (0.1, 0.01, 0.02, 0.03))
    edited(altered, lambda content: shift(content, 0.1))
    missing = state_path(lost, read_record(lost)).name
    state_path(lost, read_record(lost)).unlink()
    damaged.write_text("{")
    outcome = verify(good.parent)
    assert outcome.status == 2
    assert f"{good}\n  noise PSNR" in outcome.out
    lines = sorted(line for line in outcome.err.splitlines() if line.startswith("srq: "))
    expected = [
        f"srq: {altered}: the state does not give the recorded scores",
        f"srq: record {damaged}: ",
        f"srq: record {lost} lacks its state {missing}; measure again",
    ]
    assert all(line.startswith(start) for line, start in zip(lines, sorted(expected), strict=True)), lines


def test_only_what_changed_since_a_commit_is_verified(measured, verify, srq, tiny_suite, tmp_path, monkeypatch):
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(variable, "somebody@example.org")
    old = measured()
    results = tmp_path / "out/results"
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "old"]):
        subprocess.run(["git", "-C", results, *command], check=True)
    with monkeypatch.context() as nothing_is_opened:
        nothing_is_opened.delattr("sr_ptq_bench.runs.session.Session.open")
        outcome = verify(results, "--since", "HEAD")
        programs = verify(results, "--since", "HEAD", "--json")
    assert (outcome.status, outcome.out) == (0, "no record is new or changed since HEAD\n")
    assert (programs.status, programs.out) == (0, "[]\n")
    new = measured("-o", "p=0.1", method="percentile")
    outcome = verify(results, "--since", "HEAD")
    assert outcome.status == 0, outcome.err
    assert str(new) in outcome.out
    assert str(old) not in outcome.out
    state_path(old, read_record(old)).write_bytes(b"altered")
    outcome = verify(results, "--since", "HEAD")
    assert outcome.status == 2
    assert f"is not that of the record {old.name}" in outcome.err
    assert str(new) in outcome.out
