"""Weights files: what is read, what is refused, and that nothing in them is ever run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import Tensor, nn

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.storage.weights import fill, read_weights

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch on a damaged file


def table() -> dict[str, Tensor]:
    return {"0.weight": torch.arange(6.0).view(2, 3), "0.bias": torch.tensor([7.0, 8.0])}


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2))


def stored(path: Path, content: object) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt"])
def test_tensors_by_name(name, tmp_path):
    weights = read_weights(stored(tmp_path / name, table()))
    assert weights.keys() == table().keys()
    assert all(torch.equal(weights[key], v) for key, v in table().items())


@pytest.mark.parametrize("key", ["params_ema", "params", "state_dict"])
def test_tensors_under_the_keys_of_releases(key, tmp_path):
    assert read_weights(stored(tmp_path / "w.pth", {key: table(), "iteration": 5})).keys() == table().keys()


def test_the_averaged_weights_win(tmp_path):
    both = {"params": {"a": torch.zeros(1)}, "params_ema": {"a": torch.ones(1)}}
    assert float(read_weights(stored(tmp_path / "w.pth", both))["a"]) == 1.0


def test_an_ordered_table(tmp_path):
    assert read_weights(stored(tmp_path / "w.pth", OrderedDict(table()))).keys() == table().keys()


def test_the_old_format_of_torch(tmp_path):
    torch.save({"params": table()}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "w.pth").keys() == table().keys()


@pytest.mark.parametrize("name", ["none.safetensors", "none.pth", "."])
def test_no_file(name, tmp_path):
    with pytest.raises(SrqError, match="no weights file"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.8, 0.99])
def test_a_truncated_file(suffix, share, tmp_path):
    path = stored(tmp_path / f"w{suffix}", table())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SrqError, match="cannot read weights"):
        read_weights(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 99])
def test_a_file_of_something_else(suffix, content, tmp_path):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(SrqError, match="cannot read weights"):
        read_weights(path)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(content=st.binary(max_size=60))
def test_any_bytes_are_refused_in_one_line(content, tmp_path):
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SrqError):
            read_weights(tmp_path / name)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), kind=st.sampled_from(["zip", "old", "safetensors"]))
def test_a_flipped_byte_is_read_or_refused(data, kind, tmp_path):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        path.write_bytes(save(table()))
    else:
        torch.save(table(), path, _use_new_zipfile_serialization=kind == "zip")
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        read_weights(path)
    except SrqError as error:
        assert "\n" not in str(error)


class Code:
    """Pickles to a call that leaves a folder behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl", ""])
@pytest.mark.parametrize("how", ["zip", "old", "pickle"])
def test_code_in_a_file_is_refused_and_not_run(suffix, how, tmp_path):
    mark, path = tmp_path / "ran", tmp_path / f"w{suffix}"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"params": Code(mark)}))
    else:
        torch.save({"params": table(), "more": Code(mark)}, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(SrqError, match="holds more than tensors"):
        read_weights(path)
    assert not mark.exists()


def test_the_code_would_have_run(tmp_path):
    """The test above would see it: unpickled, the file leaves its mark."""
    pickle.loads(pickle.dumps(Code(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [{}, [torch.zeros(1)], torch.zeros(3), 5, {"a": 1.0}, {"params": {}}, {"params": {"a": "b"}}, {1: torch.zeros(1)}],
    ids=["empty", "list", "tensor", "number", "floats", "no params", "text", "numbered"],
)
def test_no_table_of_tensors(content, tmp_path):
    with pytest.raises(SrqError, match="hold no table of tensors"):
        read_weights(stored(tmp_path / "w.pth", content))


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_fill(name, tmp_path):
    model = network()
    fill(model, stored(tmp_path / name, table()))
    assert all(torch.equal(v, table()[key]) for key, v in model.state_dict().items())


def refused(tmp_path: Path, tensors: dict[str, Tensor], message: str, rebuilt: tuple[str, ...] = ()) -> None:
    model = network()
    before = {key: v.clone() for key, v in model.state_dict().items()}
    with pytest.raises(SrqError, match=message):
        fill(model, stored(tmp_path / "w.safetensors", tensors), rebuilt)
    assert all(torch.equal(v, before[key]) for key, v in model.state_dict().items())


@pytest.mark.parametrize("name", ["0.weight", "0.bias"])
def test_a_missing_tensor_is_refused(name, tmp_path):
    refused(tmp_path, {key: v for key, v in table().items() if key != name}, f"lack the tensor {name}")


def test_a_misshapen_tensor_is_refused(tmp_path):
    refused(tmp_path, table() | {"0.weight": torch.zeros(3, 2)}, r"0\.weight is \(3, 2\), expected \(2, 3\)")


def test_a_superfluous_tensor_is_refused(tmp_path):
    refused(tmp_path, table() | {"1.weight": torch.zeros(1)}, "unknown tensor 1.weight")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_refused(bad, tmp_path):
    refused(tmp_path, table() | {"0.bias": torch.tensor([1.0, bad])}, r"0\.bias has values that are not finite")


class Buffered(nn.Module):
    """A layer and a buffer that the network makes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 1)
        self.register_buffer("mask", torch.ones(2))


@pytest.mark.parametrize("present", [None, torch.zeros(2), torch.zeros(7, 7)], ids=["absent", "present", "other shape"])
def test_rebuilt_buffers_are_not_read(present, tmp_path):
    tensors = {"fc.weight": torch.zeros(1, 2), "fc.bias": torch.zeros(1)}
    if present is not None:
        tensors["mask"] = present
    model = Buffered()
    fill(model, stored(tmp_path / "w.pth", tensors), rebuilt=("mask",))
    assert model.mask.tolist() == [1.0, 1.0]
    assert model.fc.bias.tolist() == [0.0]


def test_half_precision_weights_become_float32(tmp_path):
    model = network()
    fill(model, stored(tmp_path / "w.safetensors", {key: v.half() for key, v in table().items()}))
    assert model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, table()["0.weight"])
