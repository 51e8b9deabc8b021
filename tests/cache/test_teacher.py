"""What the FP network makes of patches is computed once, comes back equal, and never fills the disk."""

from __future__ import annotations

import os
from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from tiny import comparable, plugins, run, write_weights

from sr_ptq_bench import Quantizer, SRModel
from sr_ptq_bench.cache.teacher import LIMIT, CachedTeacher, TeacherOutputs
from sr_ptq_bench.storage.files import write_sealed


def patches(seed=0, size=8):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


class Network:
    """Output and features of patches, counted."""

    def __init__(self):
        self.calls = 0

    def __call__(self, lr):
        self.calls += 1
        return lr * 2, [lr.transpose(2, 3), lr.sum(1)]


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "teacher" / "mine"


@pytest.fixture
def said():
    return []


@pytest.fixture
def ask(folder, network, said):
    def ask_for(lr, limit=LIMIT):
        outputs = TeacherOutputs(folder, lambda _name: nullcontext(), said.append, limit)
        return outputs.of(lr, lambda: network(lr))

    return ask_for


def equal(a, b):
    return torch.equal(a[0], b[0]) and all(torch.equal(x, y) for x, y in zip(a[1], b[1], strict=True))


def test_the_same_patches_are_computed_once_and_come_back_equal_and_in_the_same_layout(ask, network):
    first, again = ask(patches()), ask(patches().clone())
    assert network.calls == 1
    assert equal(first, again)
    assert [t.stride() for t in first[1]] == [t.stride() for t in again[1]]


@pytest.mark.parametrize("other", [patches(1), patches(0, 16), patches().flip(0), patches().double()])
def test_other_patches_are_computed(ask, network, other):
    ask(patches())
    assert equal(ask(other), Network()(other))
    assert network.calls == 2


def test_patches_that_are_not_contiguous_count_by_their_content(ask, network):
    ask(patches())
    ask(patches().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
    assert network.calls == 1


def test_nothing_is_kept_beyond_the_limit(ask, network, folder):
    size = 2 * 3 * 8 * 8 * 4 * 2 + 2 * 8 * 8 * 4
    for seed in (0, 1, 0, 1):
        ask(patches(seed), limit=2 * size - 1)
    assert network.calls == 3  # the first is kept, the second computed twice
    assert len(list(folder.iterdir())) == 1


def test_the_oldest_of_other_teachers_make_room_for_half_of_the_limit(ask, folder):
    for age, name in enumerate(("new", "old", "oldest")):
        other = folder.parent / name / "x.safetensors"
        other.parent.mkdir(parents=True)
        other.write_bytes(b"x" * 4000)
        os.utime(other.parent, (1e9 - age, 1e9 - age))
    ask(patches(), limit=16_000)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine", "new", "old"]


def test_a_run_that_asks_for_nothing_touches_no_other_teacher(tiny_suite, tmp_path):
    other = tmp_path / "cache/teacher/other/x.safetensors"
    other.parent.mkdir(parents=True)
    with other.open("wb") as file:
        file.truncate(LIMIT)
    run(tiny_suite, home=tmp_path, method="minmax")
    assert other.exists()
    trained(tiny_suite, tmp_path)
    assert not other.exists()


@pytest.mark.parametrize("damage", [b"", b"no tensors", save({"0": torch.ones(1), "other": torch.ones(1)})])
def test_an_entry_that_is_damaged_is_set_aside_and_computed_anew(ask, network, folder, said, damage):
    made = ask(patches())
    (entry,) = folder.iterdir()
    write_sealed(entry, damage)
    assert equal(ask(patches()), made)
    assert network.calls == 2
    assert len(said) == 1
    assert entry.name in said[0]


def test_a_folder_that_cannot_be_written_costs_time_only(ask, network, folder, said):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    assert equal(ask(patches()), Network()(patches()))
    assert len(said) == 1
    assert "going on" in said[0]


@pytest.fixture
def counted(monkeypatch):
    """The networks that ran for their features, in order: `teacher` or `student`."""
    ran = []
    whole = SRModel.with_features

    def counting(self, lr):
        quantized = any(isinstance(module, Quantizer) for module in self.network.modules())
        ran.append("student" if quantized else "teacher")
        return whole(self, lr)

    monkeypatch.setattr(SRModel, "with_features", counting)
    return ran


BUDGET = {"dqc.iterations": "4", "dqc.batch": "2", "dqc.patch": "8"}


def trained(suite, home, bits="4", seed=0):
    return run(suite, home=home, method="minmax+dqc", bits=bits, seed=seed, **BUDGET)


def test_a_grid_runs_the_teacher_once_for_each_step_and_its_records_are_the_same(tiny_suite, tmp_path, counted):
    trained(tiny_suite, tmp_path / "shared", "4")
    assert counted.count("teacher") == 4
    shared = trained(tiny_suite, tmp_path / "shared", "2")
    assert counted.count("teacher") == 4
    alone = trained(tiny_suite, tmp_path / "alone", "2")
    assert counted.count("teacher") == 8
    assert comparable(shared) == comparable(alone)


def test_another_seed_has_other_patches(tiny_suite, tmp_path, counted):
    trained(tiny_suite, tmp_path)
    trained(tiny_suite, tmp_path, seed=1)
    assert counted.count("teacher") == 8


def test_other_weights_are_another_teacher(tiny_suite, tmp_path, counted):
    trained(tiny_suite, tmp_path)
    weights = load_file(tiny_suite.folder / "weights.safetensors")
    save_file({name: 2 * tensor for name, tensor in weights.items()}, tiny_suite.folder / "weights.safetensors")
    trained(tiny_suite, tmp_path)
    assert counted.count("teacher") == 8


def test_the_output_alone_is_shared_too(folder, tiny_suite):
    model = plugins().load_model("tiny", 2, tiny_suite.folder / "weights.safetensors")[0]
    teacher = CachedTeacher(model, TeacherOutputs(folder, lambda _name: nullcontext(), str, LIMIT))
    lr = patches()
    with torch.no_grad():
        assert torch.equal(teacher(lr), model(lr))
        assert len(list(folder.iterdir())) == 1
        assert torch.equal(teacher.with_features(lr)[0], model(lr))
        assert len(list(folder.iterdir())) == 1
    assert teacher(lr).shape == (2, 3, 16, 16)


def test_a_network_that_draws_random_numbers_leaves_the_same_generators(folder, tiny_suite):
    """Whether its output is computed or read, what a method draws afterwards is the same."""
    model = plugins().load_model("tiny", 2, tiny_suite.folder / "weights.safetensors")[0]
    model.network.register_forward_hook(lambda _module, _inputs, sr: sr + 0 * torch.rand(()))
    teacher = CachedTeacher(model, TeacherOutputs(folder, lambda _name: nullcontext(), str, LIMIT))
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        with torch.no_grad():
            teacher(patches())
        drawn.append(float(torch.rand(())))
    torch.manual_seed(0)
    assert drawn == [float(torch.rand(()))] * 2


def test_gradients_through_the_teacher_are_computed(folder, network):
    model = plugins().load_model("tiny", 2, write_weights(folder.parents[1] / "weights.safetensors"))[0]
    teacher = CachedTeacher(model, TeacherOutputs(folder, lambda _name: nullcontext(), str, LIMIT))
    lr = patches().requires_grad_()
    teacher.with_features(lr)[0].sum().backward()
    assert lr.grad is not None
    assert not folder.exists()


def test_a_network_may_keep_masks_for_the_size_of_its_images(folder):
    model = plugins().load_model("tiny", 2, write_weights(folder.parents[1] / "weights.safetensors"))[0]
    model.network.register_buffer("mask", torch.zeros(1), persistent=False)
    model.network.register_forward_pre_hook(
        lambda network, inputs: setattr(network, "mask", torch.ones(inputs[0].shape[-2:]))
    )
    teacher = CachedTeacher(model, TeacherOutputs(folder, lambda _name: nullcontext(), str, LIMIT))
    with torch.no_grad():
        teacher(patches())
    assert model.network.mask.shape == patches().shape[-2:]
    assert not teacher.is_changed()


def halved(model):
    parameter = next(model.network.parameters())
    parameter.data.mul_(0.5)  # of which torch counts no version
    yield
    parameter.data.mul_(2)


def hooked(model):
    hook = model.network.register_forward_hook(lambda _module, _inputs, sr: sr / 2)
    yield
    hook.remove()


def hooked_before(model):
    hook = model.network.register_forward_pre_hook(lambda _module, inputs: (inputs[0] / 2,))
    yield
    hook.remove()


def in_training(model):
    model.network.train()
    yield
    model.network.eval()


@pytest.mark.parametrize("change", [halved, hooked, hooked_before, in_training])
@pytest.mark.parametrize("first", [False, True])
def test_what_a_changed_teacher_gives_is_neither_kept_nor_read(folder, change, first):
    model = plugins().load_model("tiny", 2, write_weights(folder.parents[1] / "weights.safetensors"))[0]
    lr, ran = patches(), []
    model.network.register_forward_hook(lambda *_: ran.append(1))
    teacher = CachedTeacher(model, TeacherOutputs(folder, lambda _name: nullcontext(), str, LIMIT))
    with torch.no_grad():
        expected = model(lr)
        if first:
            teacher(lr)
        changing = change(model)
        next(changing)
        ran.clear()
        assert torch.equal(teacher(lr), model(lr))
        assert len(ran) == 2
        next(changing, None)
        assert torch.equal(teacher(lr), expected)
