"""`srq cache` shows and prunes."""

from __future__ import annotations

import json
import os
import time

import pytest
from tiny import FILE

from sr_ptq_bench.cache.kept import KINDS
from sr_ptq_bench.cache.shared import Cache


@pytest.fixture
def used(srq, tiny_suite, own_home, tmp_path):
    """A home that a run has filled, with an image set and a download."""
    run = (
        "run",
        "--suite",
        tiny_suite.path,
        "--plugin",
        FILE,
        "-m",
        "minmax",
        "-b",
        4,
        "-s",
        2,
        "--out",
        tmp_path / "o",
    )
    assert srq(*run).status == 0
    for name in ("images/Set5/data.mdb", "downloads/a.pth"):
        path = own_home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
    return run


def entries(srq):
    return {name: kind["entries"] for name, kind in json.loads(srq("cache", "--json").out)["kinds"].items()}


def test_what_is_kept_is_counted(used, srq, own_home):
    table = json.loads(srq("cache", "--json").out)
    assert table["home"] == str(own_home)
    kinds = table["kinds"]
    assert kinds["downloads"] == kinds["image sets"] == {"entries": 1, "bytes": 1000}
    assert kinds["results"]["entries"] == 2  # a record and its state
    assert kinds["scores of references"]["entries"] == 3
    total = sum(path.stat().st_size for path in own_home.rglob("*") if path.is_file() and "locks" not in path.parts)
    assert sum(kind["bytes"] for kind in kinds.values()) == total
    assert "image sets" in srq("cache").out


def test_what_can_be_computed_again_goes_and_the_rest_stays(used, srq):
    before = entries(srq)
    assert srq("cache", "prune", "--dry-run").out.startswith("would remove ")
    assert entries(srq) == before
    assert srq("cache", "prune").status == 0
    kept = {name: count for name, count in entries(srq).items() if count}
    assert kept == {"results": 2, "downloads": 1, "image sets": 1}
    assert "Measured already" in srq(*used).err
    srq("cache", "prune", "--results")
    assert entries(srq)["results"] == 0
    assert "Score the quantized network" in srq(*used).err


def test_what_goes_is_told_to_programs(used, srq):
    before = json.loads(srq("cache", "prune", "--dry-run", "--json").out)
    assert before["removed"] is False
    assert json.loads(srq("cache", "--json", "prune").out) == {**before, "removed": True}
    assert json.loads(srq("cache", "prune", "--json").out) == {"entries": 0, "bytes": 0, "removed": True}


def test_young_entries_may_stay(used, srq, own_home):
    (old, *_) = own_home.glob("cache/scores-*")
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    assert srq("cache", "prune", "--days", 2).out.startswith("removed 1 entries")
    assert not old.exists()


def test_a_link_goes_and_what_it_points_to_stays(used, srq, own_home, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "photo").write_text("mine")
    (own_home / "cache/teacher").mkdir(exist_ok=True)
    (own_home / "cache/teacher/link").symlink_to(precious)
    srq("cache", "prune")
    assert (precious / "photo").read_text() == "mine"


def test_an_empty_home(srq):
    assert srq("cache").status == 0
    assert srq("cache", "prune").out == "removed 0 entries, 0.0 MiB\n"


def test_every_entry_of_the_cache_is_of_a_kind(own_home):
    """What `Cache` writes is what `srq cache` shows and prunes."""
    cache = Cache(own_home, print)
    cache.scores({}, lambda _: {})
    cache.distributions({}, dict)
    cache.output_costs({}, dict)
    files = {path for path in (own_home / "cache").iterdir() if path.is_file()}
    assert len(files) == 3
    assert files == {entry for kind in KINDS for entry in kind.entries(own_home)}


@pytest.mark.parametrize("days", ["nan", "inf"])
def test_days_are_a_number(srq, days):
    outcome = srq("cache", "prune", "--days", days)
    assert outcome.status == 2
    assert f"{days} is not a finite number" in outcome.err
