"""The fuzzer of `helpers/fuzzing.py` reads whole files, finds what is planted, and finds nothing in a short run."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import fuzzing
import pytest
from fuzzing import Findings, Reader, changed, changed_json, fuzz, make_store, readers

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries, on damaged files
ROUNDS = 40


@pytest.mark.parametrize("kind", readers())
def test_the_files_that_are_changed_can_be_read(tmp_path: Path, kind: str) -> None:
    make_store(tmp_path)
    reader = readers()[kind]
    for seed in reader.seeds:
        reader.read(seed, tmp_path, random.Random(0))


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    kinds = len(readers())
    found = fuzz(tmp_path, "0", lambda number: number < ROUNDS * kinds)
    assert found.unexpected == {}
    assert sum(found.counts.values()) == ROUNDS * kinds
    assert {kind for kind, _ in found.counts} == set(readers())


def planted(content: bytes, _folder: Path, _random: random.Random) -> None:
    if content != b"whole":
        raise ZeroDivisionError("planted")


def test_what_is_planted_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "readers", lambda: {"planted": Reader([b"whole"], planted)})
    found = fuzz(tmp_path, "0", lambda number: number < 20)
    assert list(found.unexpected) == [("planted", "ZeroDivisionError", "planted", "planted")]
    assert b"whole" not in found.unexpected.values()


def test_changes_depend_on_the_seed_alone() -> None:
    content = b'{"a": [1, 2, {"b": 3}]}'
    for change in (changed, changed_json):
        assert change(content, random.Random(3)) == change(content, random.Random(3))
        assert len({change(content, random.Random(seed)) for seed in range(20)}) > 10


def test_rounds_add_up() -> None:
    total = Findings()
    total.add(Findings(Counter({("a", "read"): 2}), {("a", "x"): b"1"}, {"a": 1.0, "b": 3.0}))
    total.add(Findings(Counter({("a", "read"): 1}), {("a", "x"): b"2"}, {"a": 2.0}))
    assert total == Findings(Counter({("a", "read"): 3}), {("a", "x"): b"1"}, {"a": 2.0, "b": 3.0})
