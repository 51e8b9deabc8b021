"""The identity of a network: names, shapes, types and bits of its tensors."""

from __future__ import annotations

import torch
from oracle import normed

from sr_ptq_bench.quantization.state.network_tensors import network_sha256, same_bits


def test_the_hash_of_a_network_sees_names_shapes_types_and_bits():
    def changed(change):
        teacher = normed()
        change(teacher.network)
        return network_sha256(teacher)

    hashes = {
        changed(change)
        for change in (
            lambda network: None,
            lambda network: network.group.bias.neg_(),
            lambda network: network.seen.add_(1),
            lambda network: setattr(network.group.bias, "data", network.group.bias.view(2, 2)),
            lambda network: network.group.bfloat16(),
            lambda network: network.register_buffer("more", torch.zeros(0)),
        )
    }
    assert len(hashes) == 6
    assert network_sha256(normed()) == network_sha256(normed())


def test_equal_bits():
    zero, nan = torch.zeros(2), torch.tensor([float("nan")])
    assert same_bits(zero, zero.clone())
    assert not same_bits(zero, -zero)
    assert same_bits(nan, nan.clone())
    assert same_bits(torch.zeros(()), torch.zeros(()))
    assert same_bits(torch.zeros(0), torch.zeros(0))
    assert same_bits(torch.arange(6).view(2, 3).T, torch.arange(6).view(2, 3).T.contiguous())
