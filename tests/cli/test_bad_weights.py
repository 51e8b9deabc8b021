"""Weights that cannot be: one line that names the file, status 2, and nothing in it is run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file


def changed(path: Path, **tensors) -> None:
    content = load_file(path) | tensors
    save_file({name: tensor for name, tensor in content.items() if tensor is not None}, path)


class Malicious:
    """Pickled code that would leave a file behind."""

    def __reduce__(self):
        return Path.touch, (Path(self.__dict__["path"]),)


WEIGHTS = {
    "missing": (lambda path: path.unlink(), "no weights file"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "no weights file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot read weights", "expected safetensors"),
    "garbage": (lambda path: path.write_bytes(b"\x80\x04" * 99), "cannot read weights", "expected safetensors"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cannot read weights", "expected safetensors"),
    "of another shape": (
        lambda path: changed(path, **{"fc1.weight": torch.zeros(4, 4)}),
        "tensor fc1.weight is (4, 4), expected (8, 4); they belong to another network or scale",
    ),
    "lacking a tensor": (lambda path: changed(path, **{"fc1.bias": None}), "lack the tensor fc1.bias"),
    "with another tensor": (lambda path: changed(path, more=torch.zeros(1)), "hold an unknown tensor more"),
    "with nan": (
        lambda path: changed(path, **{"fc1.bias": torch.full((8,), float("nan"))}),
        "tensor fc1.bias has values that are not finite",
    ),
    "with inf": (
        lambda path: changed(path, **{"fc1.bias": torch.full((8,), float("inf"))}),
        "tensor fc1.bias has values that are not finite",
    ),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_bad_weights_are_refused(bench, kind):
    make, *expected = WEIGHTS[kind]
    make(bench.weights)
    bench.refuses(bench.weights, *expected)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_pickled_code_is_not_run(bench, how):
    path, proof = bench.folder / "weights.pth", bench.folder / "proof"
    malicious = Malicious()
    malicious.path = str(proof)
    if how == "torch":
        torch.save({"params": malicious}, path)
    else:
        path.write_bytes(pickle.dumps(malicious))
    bench.suite.change(weights={"2": "weights.pth"})
    bench.refuses(path, "cannot read weights", "holds more than tensors; expected safetensors")
    assert not proof.exists()


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 1000])
def test_truncated_weights_of_torch_are_refused(bench, keep):
    path = bench.folder / "weights.pth"
    torch.save(load_file(bench.weights), path)
    path.write_bytes(path.read_bytes()[:keep])
    bench.suite.change(weights={"2": "weights.pth"})
    bench.refuses(path, "cannot read weights", "expected safetensors")


@pytest.mark.parametrize("content", [[1, 2], {}, {"params": {"a": 1}}, 7])
def test_weights_without_tensors_are_refused(bench, content):
    path = bench.folder / "weights.pth"
    torch.save(content, path)
    bench.suite.change(weights={"2": "weights.pth"})
    bench.refuses(f"weights {path} hold no table of tensors")


def test_weights_of_torch_are_read_all_the_same(bench):
    torch.save({"params": load_file(bench.weights)}, bench.folder / "weights.pth")
    bench.suite.change(weights={"2": "weights.pth"})
    assert bench().status == 0
