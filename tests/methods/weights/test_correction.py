"""The closed-form correction for quantized inputs: by hand, against NumPy's least squares, and on networks."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from srq_baselines.condition import Options, srq_transform_model
from srq_baselines.correction import correct_layers, corrected, quantized_grams
from srq_baselines.layers import input_rows, own_layers
from srq_baselines.ranges import distributions, dobi_bounds
from training import convolutional_teacher, supply, teacher_and_student, with_student

from sr_ptq_bench import Distribution, SrqError, capture, fake_quantize, quantizers_off

NETWORKS = [lambda: teacher_and_student("2"), lambda: with_student(convolutional_teacher(), "3")]


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def grams(x, x_q):
    return x_q.T @ x_q, x_q.T @ x


def test_one_weight_by_hand():
    """x = 1, 2 becomes 1, 1: H = 2, C = 3, so a weight of 2 becomes 3; with lambda = .5 H, 2 + (3 - 2) 2/(2 + 1)."""
    h, c = grams(column(1, 2), column(1, 1))
    assert float(corrected(column(2), h, c, 1e-12, False)) == pytest.approx(3)
    assert float(corrected(column(2), h, c, 0.5, False)) == pytest.approx(2 + 2 / 3)


def test_a_bias_takes_what_all_inputs_have_moved_by():
    """x = 0, 1 becomes 1, 2: the weight of 3 stays, and the bias of 5 loses 3."""
    ones = torch.ones(2, 1, dtype=torch.float64)
    h, c = grams(torch.cat([column(0, 1), ones], 1), torch.cat([column(1, 2), ones], 1))
    assert corrected(column(3, 5), h, c, 1e-3, True).flatten().tolist() == pytest.approx([3, 2])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), with_bias=st.booleans(), ridge=st.floats(1e-4, 10))
def test_it_is_the_least_squares_of_numpy(seed, with_bias, ridge):
    """The ridge as more rows: sqrt(lambda) (M' - M) = 0 for every weight."""
    rng = np.random.default_rng(seed)
    x, m = rng.normal(size=(30, 4)) * [1, 3, 0.2, 5], rng.normal(size=(4 + with_bias, 3))
    x_q = np.round(x) + rng.normal(size=4)
    if with_bias:
        x, x_q = (np.concatenate([v, np.ones((30, 1))], 1) for v in (x, x_q))
    size = ridge * np.mean(np.sum(x_q[:, :4] ** 2, 0))
    more = np.sqrt(size) * np.eye(4, 4 + with_bias)
    expected = np.linalg.lstsq(np.concatenate([x_q, more]), np.concatenate([x @ m, more @ m]), rcond=None)[0]
    found = corrected(torch.tensor(m), *grams(torch.tensor(x), torch.tensor(x_q)), ridge, with_bias)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7, atol=1e-9)


def test_inputs_that_stay_change_nothing():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    m = x[:3]
    assert torch.equal(corrected(m, *grams(x, x), 1e-3, False), m)


def test_inputs_of_zeros_leave_the_layer():
    m = column(1, 2)
    assert torch.equal(corrected(m, torch.zeros(2, 2).double(), torch.zeros(2, 2).double(), 1e-3, False), m)


def output_errors(student, before) -> dict[str, float]:
    """||X M - X_q M'||^2 of every layer on the calibration patches, M as in `before`, from the tensors themselves."""
    layers = {at.site: at.layer for at in own_layers(student).values()}
    names = list(layers)
    seen = distributions(student, supply(), names, lambda _, v: v)
    found = dict.fromkeys(names, 0.0)

    def see(site, x, _):
        layer, bits = layers[site], student.quantizers[site].bits
        x_q = fake_quantize(x, *map(torch.tensor, dobi_bounds(seen[site], bits)), bits)
        weight, bias = before[site]
        y = input_rows(x, layer).double() @ weight.flatten(1).T + bias
        y_q = input_rows(x_q, layer).double() @ layer.weight.double().flatten(1).T + layer.bias.double()
        found[site] += float((y - y_q).square().sum())

    with torch.no_grad(), capture(student, names, see), quantizers_off(student):
        for lr in supply().fixed():
            student(lr)
    return found


def tensors_of(student):
    return {
        at.site: (at.layer.weight.detach().double(), at.layer.bias.double().clone())
        for at in own_layers(student).values()
    }


@pytest.mark.parametrize("make", NETWORKS)
def test_the_first_layer_comes_nearer_to_its_output(make):
    """No corrected layer feeds it, so its inputs stay."""
    _, student = make()
    before = tensors_of(student)
    errors = output_errors(student, before)
    correct_layers(student, supply(), 1e-3)
    after = output_errors(student, before)
    first = next(iter(errors))
    assert 0 < after[first] < errors[first]


@pytest.mark.parametrize("make", NETWORKS)
def test_grams_are_those_of_all_rows_at_once(make):
    """The sum over patches is the product of the whole matrices."""
    _, student = make()
    name, at = next(iter(own_layers(student).items()))
    site, layer = at.site, at.layer
    rows = []
    with torch.no_grad(), capture(student, [site], lambda _, x, __: rows.append(x)), quantizers_off(student):
        for lr in supply().fixed():
            student(lr)
    x, bits = torch.cat(rows), student.quantizers[site].bits
    seen = distributions(student, supply(), [site], lambda _, v: v)[site]
    x_q = fake_quantize(x, *map(torch.tensor, dobi_bounds(seen, bits)), bits)
    x, x_q = (torch.nn.functional.pad(input_rows(v, layer).double(), (0, 1), value=1) for v in (x, x_q))
    h, c = quantized_grams(student, supply())[name]
    torch.testing.assert_close(h, x_q.T @ x_q)
    torch.testing.assert_close(c, x_q.T @ x)


def transformed(**values):
    _, student = teacher_and_student("2")
    with quantizers_off(student):
        srq_transform_model(student=student, batches=supply(), options=Options.parse(values))
    return student


def test_it_is_off_by_default():
    assert not Options.parse({}).correct
    alone, other, on = (tensors_of(transformed(**values)) for values in ({}, {"ridge": 0.5}, {"correct": True}))
    for site, tensors in alone.items():
        assert all(torch.equal(a, b) for a, b in zip(tensors, other[site], strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(tensors, on[site], strict=True))


@pytest.mark.parametrize("values", [{"ridge": 0}, {"ridge": "inf"}, {"ridge": -1}, {"correct": "perhaps"}])
def test_options_that_are_refused(values):
    with pytest.raises(SrqError):
        Options.parse(values)


def test_a_record_says_weights_in_closed_form(tiny_suite):
    record = tiny.run(tiny_suite, method="condition+minmax", bits="4", correct=True)
    assert record.learned.kind == "weights in closed form"
    assert "correct" in str(record.spec)
    assert "correct" not in str(tiny.run(tiny_suite, method="condition+minmax", bits="4").spec)


def test_bounds_that_dobi_gives():
    """99 zeros and a 1 at 2 bits: of the ranges [i/200, 1 - i/200] the error is least for one of NumPy's choice."""
    v = torch.cat([torch.zeros(99), torch.ones(1)])
    lower, upper = dobi_bounds(Distribution.of_tensor(v), 2)
    errors = []
    for i in range(100):
        low, high = i / 200, 1 - i / 200
        levels = np.linspace(low, high, 4)
        errors.append(sum(np.abs(levels - x).min() ** 2 for x in v.numpy()))
    best = int(np.argmin(errors))
    assert (lower, upper) == pytest.approx((best / 200, 1 - best / 200))
