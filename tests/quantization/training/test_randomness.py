"""Every random generator comes back exactly where it was."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from sr_ptq_bench.quantization.randomness import generator_states, restore_generators, seed_generators

BIT_GENERATORS = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)


def draw():
    """Numbers of every global generator; the normal ones keep a second number for the next call."""
    return [
        *torch.rand(3).tolist(),
        *torch.randn(5).tolist(),
        *np.random.rand(2),
        np.random.standard_normal(),
        random.random(),
        random.gauss(0, 1),
        random.randrange(10**30),
    ]


def through_a_file(states):
    """As a checkpoint keeps them."""
    assert all(tensor.dtype == torch.uint8 and tensor.ndim == 1 for tensor in states.values())
    return load(save(states))


@pytest.mark.parametrize("before", range(4))
def test_the_global_generators_come_back(before):
    seed_generators(7)
    for _ in range(before):
        draw()
    states = through_a_file(generator_states())
    expected = [draw() for _ in range(3)]
    seed_generators(8)
    draw()
    restore_generators(states)
    assert [draw() for _ in range(3)] == expected


def test_a_normal_number_that_is_kept_for_the_next_call_comes_back():
    seed_generators(0)
    np.random.standard_normal()
    random.gauss(0, 1)
    states = through_a_file(generator_states())
    expected = np.random.standard_normal(), random.gauss(0, 1)
    seed_generators(0)
    restore_generators(states)
    assert (np.random.standard_normal(), random.gauss(0, 1)) == expected


@pytest.mark.parametrize("kind", BIT_GENERATORS)
def test_a_generator_of_numpy_comes_back(kind):
    generator = np.random.Generator(kind(5))
    generator.integers(0, 7, 3, dtype=np.uint8)  # half of what was drawn stays for the next call
    generator.random(3, dtype=np.float32)
    states = through_a_file(generator_states([generator]))
    expected = generator.integers(0, 7, 9, dtype=np.uint8).tolist(), generator.standard_normal(9).tolist()
    other = np.random.Generator(kind(6))
    restore_generators(states, [other])
    assert (other.integers(0, 7, 9, dtype=np.uint8).tolist(), other.standard_normal(9).tolist()) == expected


def test_a_generator_of_torch_comes_back():
    generator = torch.Generator().manual_seed(3)
    torch.randn(5, generator=generator)
    states = through_a_file(generator_states([generator]))
    expected = torch.randn(9, generator=generator)
    other = torch.Generator()
    restore_generators(states, [other])
    assert torch.equal(torch.randn(9, generator=other), expected)


def test_a_generator_of_python_comes_back():
    generator = random.Random(3)
    generator.gauss(0, 1)
    states = through_a_file(generator_states([generator]))
    expected = [generator.gauss(0, 1), generator.random(), generator.getrandbits(100)]
    other = random.Random(4)
    restore_generators(states, [other])
    assert [other.gauss(0, 1), other.random(), other.getrandbits(100)] == expected


def test_own_generators_keep_their_order():
    own = [torch.Generator().manual_seed(1), np.random.default_rng(2), random.Random(3), np.random.default_rng(4)]

    def numbers():
        return [float(torch.rand((), generator=own[0])), own[1].random(), own[2].random(), own[3].random()]

    numbers()
    states = through_a_file(generator_states(own))
    expected = numbers()
    numbers()
    restore_generators(states, own)
    assert numbers() == expected


def test_keeping_the_states_draws_nothing():
    own = np.random.default_rng(0)
    seed_generators(1)
    expected = [*draw(), np.random.default_rng(0).random()]
    seed_generators(1)
    generator_states([own])
    assert [*draw(), own.random()] == expected


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
def test_every_seed_of_a_run_seeds_all_generators(seed):
    seed_generators(seed)
    one = draw()
    seed_generators(seed)
    assert draw() == one
    seed_generators(seed ^ 1)
    assert all(a != b for a, b in zip(one, draw(), strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_generators_of_gpus_come_back():
    seed_generators(7)
    torch.rand(5, device="cuda")
    own = torch.Generator("cuda").manual_seed(3)
    states = through_a_file(generator_states([own]))
    expected = torch.rand(5, device="cuda"), torch.rand(5, device="cuda", generator=own)
    seed_generators(8)
    restore_generators(states, [own])
    assert torch.equal(torch.rand(5, device="cuda"), expected[0])
    assert torch.equal(torch.rand(5, device="cuda", generator=own), expected[1])
