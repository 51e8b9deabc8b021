"""Which sites a figure of distributions shows, and the bins that it draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sr_ptq_bench import Distribution, Site, SrqError
from sr_ptq_bench.plots.distributions import BINS, MOST, coarse, select_sites


def site(name, input_kind):
    return Site(name, "weight" if input_kind == "parameter" else "activation", input_kind)


SITES = [
    site("a.weight", "parameter"),
    site("a.input", "layernorm"),
    site("b.weight", "parameter"),
    site("b.input", "gelu"),
    site("c.input", "layernorm"),
]


def names(sites):
    return [each.name for each in sites]


def test_without_patterns_the_first_site_of_each_kind_of_tensor():
    assert names(select_sites(SITES, ())) == ["a.weight", "a.input", "b.input"]


def test_sites_that_fit_any_pattern_in_network_order():
    assert names(select_sites(SITES, ["c.*", "*.weight"])) == ["a.weight", "b.weight", "c.input"]


def test_a_pattern_that_fits_no_site_is_named():
    with pytest.raises(SrqError, match=r"no site's name fits 'x\*'; there are 5, the first is a.weight"):
        select_sites(SITES, ["a.*", "x*"])


def test_more_sites_than_a_figure_holds_are_refused():
    many = [site(f"{index}.weight", "parameter") for index in range(MOST + 1)]
    assert len(select_sites(many[:MOST], ["*"])) == MOST
    with pytest.raises(SrqError, match=f"{MOST + 1} sites fit"):
        select_sites(many, ["*"])


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=300))
def test_no_element_is_lost(values):
    v = torch.tensor(values)
    edges, counts = coarse(Distribution.of_tensor(v))
    assert len(edges) == BINS + 1
    assert counts.sum() == len(values)
    assert edges[0] <= v.min() <= v.max() <= edges[-1]


def test_a_constant_tensor_fills_one_bin():
    edges, counts = coarse(Distribution.of_tensor(torch.full((7,), 3.0)))
    assert np.count_nonzero(counts) == 1
    assert edges[0] < 3 < edges[-1]
