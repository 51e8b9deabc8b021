"""The default quantizer has at most 2^bits levels, for any tensor and any bounds; per channel in every channel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_ptq_bench import Bounds, Quantizer, Site

ENDS = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=60, deadline=None)
@given(a=ENDS, b=ENDS, bits=st.integers(2, 8), seed=st.integers(0, 9), grad=st.booleans())
def test_per_tensor(a, b, bits, seed, grad):
    quantizer = Quantizer(Site("x", "activation", "linear"), bits)
    quantizer.set_bounds(Bounds(min(a, b), max(a, b)))
    spread = 2 * max(abs(a), abs(b), 1e-3)
    v = spread * torch.randn(4000, generator=torch.Generator().manual_seed(seed))
    with torch.set_grad_enabled(grad):
        assert len(quantizer(v).unique()) <= 2**bits


@pytest.mark.parametrize("bits", [2, 4])
def test_per_channel(bits):
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(3, 5000, generator=generator)
    quantizer = Quantizer(Site("x", "weight", "parameter", 0), bits)
    quantizer.set_bounds(Bounds(v.amin(1), v.amax(1)))
    v_q = quantizer(v)
    assert [len(row.unique()) for row in v_q] == [2**bits] * 3
    assert len(v_q.unique()) > 2**bits  # so codes are counted channel by channel
