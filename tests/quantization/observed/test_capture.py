"""`capture`: inputs and outputs of sites and modules, as the network makes them."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn
from training import convolutional_teacher, supply, teacher_and_student, with_student

from sr_ptq_bench import Bits, Operand, SRModel, SrqError, capture, quantizers_off
from sr_ptq_bench.quantization.quantize import quantize


def patch() -> torch.Tensor:
    return next(supply().fixed())


def watched_nothing(model) -> bool:
    return not any(module._forward_hooks or module._forward_pre_hooks for module in model.network.modules())


def test_a_layer_sees_what_the_network_computes():
    teacher = convolutional_teacher()
    network, seen = teacher.network, {}
    lr = patch()
    with capture(teacher, ["first", "block.1", "last"], lambda name, x, y: seen.setdefault(name, (x, y))):
        teacher(lr)
    first = network.first(lr)
    hidden = network.block[0](first)
    expected = {
        "first": (lr, first),
        "block.1": (hidden, hidden.relu()),
        "last": (first + network.block(first), network.last(first + network.block(first))),
    }
    assert seen.keys() == expected.keys()
    for name, tensors in expected.items():
        assert all(torch.equal(a, b) for a, b in zip(seen[name], tensors, strict=True)), name


def test_every_site_shows_the_tensor_before_and_after_its_quantizer():
    _, student = teacher_and_student("3")
    seen = {}
    with torch.no_grad():
        with capture(student, student.quantizers, lambda name, x, y: seen.__setitem__(name, (x.clone(), y.clone()))):
            watched = student(patch())
        assert torch.equal(watched, student(patch()))
        assert list(seen) and seen.keys() == student.quantizers.keys()
        for name, (x, y) in seen.items():
            assert torch.equal(student.quantizers[name](x.clone()), y), name
            assert not torch.equal(x, y), name  # an input that the quantizer overwrote would equal its output


def test_sites_that_are_off_show_the_full_precision_tensor():
    teacher, student = teacher_and_student("3")
    seen = []
    watching = capture(student, student.quantizers, lambda name, x, y: seen.append((name, torch.equal(x, y))))
    with torch.no_grad(), watching, quantizers_off(student):
        sr = student(patch())
    assert torch.equal(sr, teacher(patch()))
    assert {name for name, _ in seen} == set(student.quantizers)
    assert all(equal for _, equal in seen)


def test_gradients_flow_through_what_is_seen():
    teacher, _ = teacher_and_student("3")
    seen = {}
    lr = patch().requires_grad_()
    with capture(teacher, teacher.features, lambda name, _, y: seen.__setitem__(name, y)):
        teacher(lr)
    (grad,) = torch.autograd.grad(seen[teacher.features[0]].square().sum(), lr)
    assert float(grad.abs().sum()) > 0


class TwoReaders(nn.Module):
    """y = q(x) * 3 + x * 10: only the first reader has a quantizer."""

    def __init__(self) -> None:
        super().__init__()
        self.q = Operand("other")
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.q(x) * 3 + x * 10


@pytest.mark.parametrize("inference", [False, True])
def test_the_gradient_of_what_a_site_gives_is_that_of_its_reader_alone(inference):
    made = quantize(SRModel("two", 1, TwoReaders().requires_grad_(False), {}, ()), Bits.parse("4"))
    gradients = []
    lr = patch().requires_grad_(not inference)

    def see(_name, x, y):
        if y.requires_grad:
            y.register_hook(gradients.append)
        assert y.data_ptr() == x.data_ptr(), "nothing is copied"

    with quantizers_off(made), capture(made, ["q"], see):
        sr = made(lr)
    assert torch.equal(sr, lr * 3 + lr * 10)
    if not inference:
        (of_lr,) = torch.autograd.grad(sr.sum(), lr)
        assert [float(g.unique()) for g in (*gradients, of_lr)] == [3, 13]


def test_nothing_is_kept():
    teacher = convolutional_teacher()
    alive: list[weakref.ref] = []
    most = 0

    def see(_name, _x, y):
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        alive.append(weakref.ref(y))

    with torch.no_grad(), capture(teacher, ["block.0"], see):
        for _ in range(5):
            teacher(patch())
    assert len(alive) == 5
    assert most == 0


def test_nothing_is_left_behind_even_by_an_error():
    _, student = teacher_and_student("3")
    before = {name: quantizer.inplace for name, quantizer in student.quantizers.items()}
    assert any(before.values())

    def fail(_name, _x, _y):
        raise ZeroDivisionError

    clean = watched_nothing(with_student(convolutional_teacher(), "4")[1])
    assert clean
    counts = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in student.network.modules())
    with pytest.raises(ZeroDivisionError), capture(student, student.quantizers, fail):
        student(patch())
    left = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in student.network.modules())
    assert left == counts
    assert {name: quantizer.inplace for name, quantizer in student.quantizers.items()} == before


def test_an_unknown_name_is_refused_with_the_nearest():
    teacher, student = with_student(convolutional_teacher(), "4")
    for model, wrong, right in ((teacher, "fisrt", "first"), (student, "last.inpt", "last.input")):
        message = f"no site or module '{wrong}'; did you mean '{right}'"
        with pytest.raises(SrqError, match=message), capture(model, [wrong], print):
            pass
    assert watched_nothing(teacher)
    assert watched_nothing(student)


def test_a_module_without_a_tensor_is_refused():
    class Pair(torch.nn.Module):
        def forward(self, x):
            return x, x

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            return self.pair(x=x)[0].repeat_interleave(2, -1).repeat_interleave(2, -2)

    model = SRModel("pair", 2, Network(), {}, ())
    with (
        pytest.raises(SrqError, match="module pair does not map a tensor to a tensor"),
        capture(model, ["pair"], print),
    ):
        model.network(patch())
