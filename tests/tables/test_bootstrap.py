"""The paired bootstrap of a mean difference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_ptq_bench.tables.bootstrap import interval

DIFFERENCES = st.lists(st.floats(-50, 50), min_size=2, max_size=30).map(np.array)


def test_every_resample_of_two_images_by_hand() -> None:
    """The means of (0, 0), (0, 1), (1, 0), (1, 1) are 0, 1/2, 1/2 and 1."""
    assert interval(np.array([0.0, 1.0]), level=0.4) == (0.5, 0.5)
    assert interval(np.array([0.0, 1.0]), level=0.95) == (0.0, 1.0)


def test_as_all_resamples_of_five_images() -> None:
    differences = np.array([0.31, -0.07, 0.12, 0.55, 0.02])
    means = [np.mean(drawn) for drawn in itertools.product(differences, repeat=5)]
    found = interval(differences, resamples=100_000)
    assert found == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.01)


def test_the_interval_of_many_images_is_the_normal_one() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 400)
    half = 1.96 * differences.std() / 20
    assert interval(differences) == pytest.approx((differences.mean() - half, differences.mean() + half), abs=0.01)


def test_the_same_under_every_numpy() -> None:
    assert interval(np.array([0.31, -0.07, 0.12, 0.55, 0.02])) == pytest.approx((0.004, 0.378))


@settings(max_examples=20, deadline=None)
@given(DIFFERENCES)
def test_an_interval_lies_within_the_differences_and_is_turned_round_with_them(differences: np.ndarray) -> None:
    lower, upper = interval(differences, resamples=200) or (0.0, 0.0)
    assert differences.min() - 1e-9 <= lower <= upper <= differences.max() + 1e-9
    assert interval(-differences, resamples=200) == pytest.approx((-upper, -lower), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(DIFFERENCES, st.integers(0, 2**32 - 1))
def test_a_seed_decides_and_a_wider_level_holds_a_narrower_one(differences: np.ndarray, seed: int) -> None:
    wide, again, narrow = (interval(differences, 200, level, seed) for level in (0.95, 0.95, 0.5))
    assert wide is not None
    assert narrow is not None
    assert wide == again
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@pytest.mark.parametrize("differences", [[], [1.0], [1.0, np.inf], [np.nan, 1.0]])
def test_what_has_no_interval(differences: list[float]) -> None:
    assert interval(np.array(differences)) is None
