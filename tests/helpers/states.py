"""Students, what their states hold, and quantizers that only a plugin knows."""

from __future__ import annotations

import json

import torch
from oracle import images, mixed, normed, tiny_teacher
from safetensors.torch import load, save
from torch import Tensor, nn
from training import convolutional_teacher

from sr_ptq_bench import Bits, Quantizer
from sr_ptq_bench.quantization.quantizer import Maker
from sr_ptq_bench.quantization.state.network_tensors import same_bits
from sr_ptq_bench.quantization.student import Student

W4A4 = Bits(weight=4, activation=4)


TEACHERS = {"swinir": lambda: tiny_teacher((1, 1), 8), "mixed": mixed, "normed": normed, "conv": convolutional_teacher}


def tensors_of(student: Student) -> dict[str, Tensor]:
    return student.network.state_dict()


def assert_same(one: Student, other: Student) -> None:
    """Equal to the last bit in all that a state holds, and in what they make of an image."""
    assert list(one.quantizers) == list(other.quantizers)
    for name, quantizer in one.quantizers.items():
        twin = other.quantizers[name]
        assert (type(quantizer), quantizer.bits, quantizer.site) == (type(twin), twin.bits, twin.site)
        assert (quantizer.enabled, quantizer.inplace) == (twin.enabled, twin.inplace)
    before, after = tensors_of(one), tensors_of(other)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert (tensor.shape, tensor.dtype) == (after[name].shape, after[name].dtype), name
        assert same_bits(tensor, after[name]), name
    with torch.no_grad():
        assert torch.equal(one(images(1, 16)), other(images(1, 16)))


def parts_of(state: bytes) -> tuple[dict, dict[str, Tensor]]:
    """The header and the tensors of a state."""
    length = int.from_bytes(state[:8], "little")
    return json.loads(json.loads(state[8 : 8 + length])["__metadata__"]["srq"]), load(state)


def joined(header: object, tensors: dict[str, Tensor]) -> bytes:
    return save(tensors, {"srq": json.dumps(header)})


class Scaled(Quantizer):
    """With a parameter per channel and a buffer of integers beside the bounds."""

    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)
        self.register_buffer("steps", torch.zeros(2, dtype=torch.int64))
        self.inner = nn.Linear(1, 1, bias=False)

    def quantize(self, v):
        return super().quantize(v) * self.gain


class Plain(Quantizer):
    """With nothing of its own."""


def scaled_on_operands(site, bits):
    made = Scaled(site, bits) if site.role == "activation" else None
    if made is not None:
        made.maker = Maker("mine", "a-test 1.0")
    return made
