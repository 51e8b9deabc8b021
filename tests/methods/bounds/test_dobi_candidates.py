"""DOBI: the candidates of Algorithm 1 by hand, ties, and the options."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from srq_2dquant.dobi import Options, candidates, winner

from sr_ptq_bench import Bounds, SrqError
from sr_ptq_bench.hooks.options import option_values, recorded_values


def options(**values) -> Options:
    return Options.parse(values)


def listed(pair: tuple[torch.Tensor, torch.Tensor]) -> list[tuple[float, float]]:
    return list(zip(pair[0].tolist(), pair[1].tolist(), strict=True))


def test_two_sided_candidates_by_hand():
    """(max - min)/(2K) = 2 a step; the last pair meets in the middle."""
    assert listed(candidates(-6.0, 10.0, False, options(K=4))) == [(-6, 10), (-4, 8), (-2, 6), (0, 4), (2, 2)]


def test_one_sided_candidates_keep_the_lower_end():
    assert listed(candidates(-6.0, 10.0, True, options(K=4))) == [(-6, 10), (-6, 8), (-6, 6), (-6, 4), (-6, 2)]


@pytest.mark.parametrize("one_sided", [False, True])
def test_without_the_last_step(one_sided):
    complete = listed(candidates(-6.0, 10.0, one_sided, options(K=4)))
    assert listed(candidates(-6.0, 10.0, one_sided, options(K=4, last_step=False))) == complete[:-1]


def test_there_are_k_plus_one_candidates():
    assert len(candidates(0.0, 1.0, False, options())[0]) == 101
    assert len(candidates(0.0, 1.0, False, options(preset="official"))[0]) == 100


@settings(max_examples=200, deadline=None)
@given(
    ends=st.tuples(st.floats(-(2.0**99), 2.0**99, width=32), st.floats(-(2.0**99), 2.0**99, width=32)),
    steps=st.integers(1, 100),
    one_sided=st.booleans(),
)
def test_every_candidate_is_usable(ends, steps, one_sided):
    """Rounding must not carry the last lower bound past its upper one."""
    lower, upper = candidates(min(ends), max(ends), one_sided, options(K=steps))
    assert (float(lower[0]), float(upper[0])) == (min(ends), max(ends))
    for low, high in zip(lower, upper, strict=True):
        Bounds(low, high).tensors()


def test_a_tie_goes_to_the_first_or_the_last():
    errors = torch.tensor([3.0, 1.0, 2.0, 1.0, 5.0])
    assert (winner(errors, "first"), winner(errors, "last")) == (1, 3)


def test_no_tie():
    errors = torch.tensor([3.0, 1.0, 0.5, 1.0])
    assert winner(errors, "first") == winner(errors, "last") == 2


def test_presets():
    paper, official = options(), options(preset="official")
    assert (paper.K, paper.one_sided, paper.last_step, paper.tie, paper.search) == (100, True, True, "last", "line")
    assert (official.K, official.one_sided, official.last_step, official.tie) == (100, False, False, "first")


def test_a_single_value_wins_over_the_preset():
    chosen = Options.parse({"preset": "official", "K": "7", "tie": "last"})
    assert (chosen.K, chosen.tie, chosen.one_sided) == (7, "last", False)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"k": 5}, "no option 'k'"), ({"K": 0}, "K"), ({"tie": "both"}, "tie"), ({"preset": "papr"}, "mean 'paper'")],
)
def test_options_that_are_refused(values, message):
    with pytest.raises(SrqError, match=message):
        Options.parse(values)


WEIGHTED = {"weighting": "output"}


def test_the_default_weighting_stands_in_no_record():
    """Records that were made before the option keep their names."""
    assert option_values(options())["weighting"] == "none"
    assert "weighting" not in recorded_values(options())
    assert recorded_values(options(**WEIGHTED))["weighting"] == "output"
