"""What is kept on disk equals what was computed; what is damaged is computed again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from sr_ptq_bench import Distribution
from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.quantization.distribution import BINS
from sr_ptq_bench.records.files import record_name
from sr_ptq_bench.records.scores import DatasetScores
from sr_ptq_bench.storage.files import read_sealed, write_sealed

SCORES = {"Set5": DatasetScores.of({"baby": {"psnr": 1 / 3, "ssim": 0.1}, "bird": {"psnr": float("inf"), "ssim": 1.0}})}
KEY = {"upscaler": "bicubic", "scale": 2}


class Counter:
    """A computation that counts its calls."""

    def __init__(self, result):
        self.result, self.calls = result, 0

    def __call__(self, *known):
        self.calls += 1
        return self.result


def distributions():
    generator = torch.Generator().manual_seed(0)
    small = Distribution.of_tensor(torch.randn(5, 7, generator=generator), 0)
    large = Distribution.of_tensor(torch.randn(70000, generator=generator))
    one_channel = Distribution(-1.0, 0.1, torch.arange(BINS), None, torch.zeros(2), torch.ones(2))
    # The sites are out of alphabetical order, and the last two share one distribution.
    return {"z": small, "a.weight": large, "m": one_channel, "b": large, "const": Distribution.of_tensor(torch.ones(3))}


def files(of: Cache) -> list[Path]:
    return sorted(of.folder.iterdir()) if of.folder.exists() else []


def test_scores_are_computed_once_and_come_back_equal(kept):
    compute = Counter(SCORES)
    assert kept.scores(KEY, compute) == SCORES
    assert kept.scores(KEY, compute) == SCORES
    assert compute.calls == 1


def test_another_process_finds_the_entry(kept, tmp_path):
    kept.scores(KEY, Counter(SCORES))
    assert Cache(tmp_path, pytest.fail).scores(dict(reversed(KEY.items())), Counter(None)) == SCORES


@pytest.mark.parametrize("key", [{**KEY, "scale": 3}, {**KEY, "upscaler": "fp"}, {**KEY, "weights": "a"}, {}])
def test_every_part_of_the_key_counts(kept, key):
    kept.scores(KEY, Counter(SCORES))
    compute = Counter(SCORES)
    kept.scores(key, compute)
    assert compute.calls == 1


def test_a_fresh_entry_is_computed_whatever_is_kept(kept):
    kept.scores(KEY, Counter(SCORES))
    compute = Counter(SCORES)
    kept.scores(KEY, compute, fresh=True)
    assert compute.calls == 1


def test_distributions_are_computed_once_and_come_back_equal(kept):
    computed = distributions()
    compute = Counter(computed)
    assert kept.distributions(KEY, compute) is computed
    found = kept.distributions(KEY, compute)
    assert compute.calls == 1
    assert list(found) == list(computed)
    for site, one in computed.items():
        other = found[site]
        assert (other.minimum, other.maximum, other.is_histogram) == (one.minimum, one.maximum, one.is_histogram)
        for field in ("elements", "bin_counts", "channel_minimum", "channel_maximum"):
            before, after = getattr(one, field), getattr(other, field)
            assert (before is None) == (after is None)
            assert before is None or (torch.equal(before, after) and before.dtype == after.dtype), (site, field)


def test_sites_that_share_a_distribution_share_it_again(kept):
    kept.distributions(KEY, Counter(distributions()))
    found = kept.distributions(KEY, Counter(None))
    assert found["a.weight"] is found["b"]


def test_searches_over_a_kept_distribution_find_the_same(kept):
    computed = distributions()
    kept.distributions(KEY, Counter(computed))
    found = kept.distributions(KEY, Counter(None))
    lower, upper = torch.tensor([-2.0, -1.0]), torch.tensor([1.5, 3.0])
    for site, one in computed.items():
        assert torch.equal(one.squared_error(lower, upper, 3), found[site].squared_error(lower, upper, 3))
        assert one.quantile(0.3) == found[site].quantile(0.3)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\x00\xff" * 100),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "json of something else": lambda path: path.write_text("[1, 2]"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_scores_are_computed_again(kept, damage):
    kept.scores(KEY, Counter(SCORES))
    DAMAGE[damage](files(kept)[0])
    compute = Counter(SCORES)
    assert kept.scores(KEY, compute) == SCORES
    assert compute.calls == 1


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_distributions_are_computed_again(kept, damage):
    kept.distributions(KEY, Counter(distributions()))
    DAMAGE[damage](files(kept)[0])
    compute = Counter(distributions())
    assert list(kept.distributions(KEY, compute)) == list(distributions())
    assert compute.calls == 1


@pytest.mark.parametrize("missing", ["0|range", "0|bin_counts"])
def test_distributions_that_lack_a_tensor_are_computed_again(kept, missing):
    kept.distributions(KEY, Counter(distributions()))
    (path,) = files(kept)
    tensors = load(read_sealed(path, print))
    del tensors[missing]
    write_sealed(path, save(tensors))
    compute = Counter(distributions())
    kept.distributions(KEY, compute)
    assert compute.calls == 1


def test_a_damaged_entry_is_written_anew(kept):
    kept.scores(KEY, Counter(SCORES))
    files(kept)[0].write_bytes(b"")
    kept.scores(KEY, Counter(SCORES))
    compute = Counter(SCORES)
    kept.scores(KEY, compute)
    assert compute.calls == 0


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path, said):
    (tmp_path / "home").write_text("a file")
    kept = Cache(tmp_path / "home", said.append)
    assert kept.scores(KEY, Counter(SCORES)) == SCORES
    assert list(kept.distributions(KEY, Counter(distributions()))) == list(distributions())


def test_a_read_only_cache_does_no_harm_to_a_fresh_run(kept, monkeypatch):
    """A read-only file system refuses to remove a file, even one that is not there."""
    kept.scores(KEY, Counter(SCORES))

    def refuse(self, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    compute = Counter(SCORES)
    assert kept.scores(KEY, compute, True) == SCORES
    assert compute.calls == 1


def test_an_error_of_the_computation_is_not_swallowed(kept):
    def fail(*known):
        raise ValueError("in the computation")

    for keep in (kept.scores, kept.distributions):
        with pytest.raises(ValueError, match="in the computation"):
            keep(KEY, fail)
    assert files(kept) == []


def test_no_temporary_file_is_left(kept):
    kept.scores(KEY, Counter(SCORES))
    kept.distributions(KEY, Counter(distributions()))
    assert sorted(path.suffix for path in files(kept)) == [".json", ".safetensors"]


def name_of(measured):
    return record_name(measured.record.spec, measured.record.hashes)


def test_a_home_that_the_system_refuses_costs_one_line(tmp_path, measured, said):
    kept = Cache(tmp_path / ("x" * 300), said.append)
    assert kept.result(name_of(measured)) is None
    kept.keep(measured)
    assert kept.scores(KEY, Counter(SCORES)) == SCORES
    with kept.resume_state(KEY) as state:
        assert state.calibrated() is None
        state.finish()
    assert len(said) == 1
    assert said[0].startswith("cannot read ")
    assert said[0].endswith(": File name too long; going on without keeping results for other runs")
