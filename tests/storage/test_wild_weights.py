"""Weights as others save them: what a file is, its content says; what cannot be read is called by its name."""

from __future__ import annotations

import argparse
import datetime
import io
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import error_of
from safetensors.torch import save
from torch import Tensor, nn

from sr_ptq_bench.backbones.edsr import new_network
from sr_ptq_bench.storage import archive_files
from sr_ptq_bench.storage.weights import TABLES, fill, read_weights, unwrapped


def network() -> nn.Module:
    """The same weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3))


TENSORS = {name: v.clone() for name, v in network().state_dict().items()}
ZEROS = {name: torch.zeros_like(v) for name, v in TENSORS.items()}


def below(prefix: str, tensors: dict[str, Tensor] = TENSORS) -> dict[str, Tensor]:
    return {prefix + name: v for name, v in tensors.items()}


def filled(path: Path) -> bool:
    """Whether a file gives a network the weights of the bare file."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fill(model, path)
    return all(torch.equal(v, TENSORS[name]) for name, v in model.state_dict().items())


def stored(path: Path, content: object, **how: object) -> Path:
    torch.save(content, path, **how)
    return path


@pytest.mark.parametrize("key", TABLES)
@pytest.mark.parametrize("old", [False, True])
def test_tensors_under_the_keys_of_checkpoints(tmp_path, key, old):
    content = {key: TENSORS, "epoch": 3, "optimizer": {"state": {}, "param_groups": [1]}}
    assert filled(stored(tmp_path / "w.pth", content, _use_new_zipfile_serialization=not old))


@pytest.mark.parametrize("outer", ["state_dict", "model", "checkpoint"])
def test_tables_in_tables(tmp_path, outer):
    assert filled(stored(tmp_path / "w.pth", {outer: {"generator": TENSORS, "discriminator": ZEROS}}))


PREFIXES = ["module.", "generator.", "model.", "_orig_mod.", "params.", "net_g.", "module.model.", "module._orig_mod."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_prefixes_of_wrappers_are_stripped(tmp_path, prefix, suffix):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(save(below(prefix)))
    assert filled(path)


def test_the_averaged_of_two_networks_in_a_flat_table(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(save(below("params.", ZEROS) | below("params_ema.")))
    assert filled(tmp_path / "w.safetensors")


def test_a_network_among_others(tmp_path):
    assert filled(stored(tmp_path / "w.ckpt", {"state_dict": below("generator.") | below("discriminator.", ZEROS)}))


def test_an_unknown_key_or_prefix_is_named(tmp_path):
    message = error_of(filled, stored(tmp_path / "w.pth", below("mine.")))
    assert message.endswith("begin with 'mine.', a prefix that is not known; remove it")
    message = error_of(filled, stored(tmp_path / "w.pth", {"mine": TENSORS, "epoch": 1}))
    assert message.endswith("there are some under 'mine': save that table alone")


@given(st.lists(st.sampled_from(["module", "model", "params", "_orig_mod", "other"]), max_size=4))
def test_any_chain_of_prefixes_is_stripped_or_named(parts):
    prefix = "".join(f"{part}." for part in parts)
    if "other" in parts:
        assert f"'{prefix}'" in error_of(unwrapped, below(prefix), TENSORS.keys(), "w")
    else:
        assert unwrapped(below(prefix), TENSORS.keys(), "w").keys() == TENSORS.keys()


def test_a_network_with_names_like_prefixes_keeps_them(tmp_path):
    model = nn.ModuleDict({"model": nn.Linear(2, 2), "net": nn.Linear(2, 2)})
    path = stored(tmp_path / "w.pth", model.state_dict())
    again = nn.ModuleDict({"model": nn.Linear(2, 2), "net": nn.Linear(2, 2)})
    fill(again, path)
    assert all(torch.equal(v, again.state_dict()[name]) for name, v in model.state_dict().items())


def test_names_of_another_code_below_a_prefix(tmp_path):
    """The published EDSR, as a wrapper saves it."""
    from sr_ptq_bench.backbones.edsr import MEAN_SHIFTS, edsr_pytorch_names

    model = new_network("edsr-baseline", 2)
    ours = {new: old for old, new in edsr_pytorch_names(model).items()}
    theirs = {f"model.{ours.get(name, name)}": v for name, v in model.state_dict().items()}
    again = new_network("edsr-baseline", 2)
    fill(again, stored(tmp_path / "w.pt", theirs), rebuilt=MEAN_SHIFTS, aliases=edsr_pytorch_names(again))
    assert all(torch.equal(v, again.state_dict()[name]) for name, v in model.state_dict().items())


@pytest.mark.parametrize("name", ["x.pth", "x.ckpt", "X.SAFETENSORS", "x.bin", "x"])
def test_safetensors_by_their_content(tmp_path, name):
    (tmp_path / name).write_bytes(save(TENSORS))
    assert filled(tmp_path / name)


@pytest.mark.parametrize("name", ["x.safetensors", "x.ckpt", "x.SAFETENSORS", "x.bin", "x"])
@pytest.mark.parametrize("old", [False, True])
def test_pickles_by_their_content(tmp_path, name, old):
    assert filled(stored(tmp_path / name, TENSORS, _use_new_zipfile_serialization=not old))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "beside",
    [
        np.float64(30.1), np.float32(1), np.int64(3), np.bool_(True), np.arange(4.0), np.zeros((2, 2), np.uint8),
        argparse.Namespace(lr=1e-3, best=np.float64(1)), {"losses": [np.float32(1), 2]}, None,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_numbers_beside_the_tensors(tmp_path, beside, old):
    content = {"state_dict": TENSORS, "best": beside}
    assert filled(stored(tmp_path / "w.pth", content, _use_new_zipfile_serialization=not old))


def scripted() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network()), buffer)
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (scripted(), "it is TorchScript, which is a program; save its tensors by `torch.save(torch.jit.load(FILE)"),
        (zipped("Set5/a.png"), "it is a zip file that holds Set5/a.png, not one of torch; expected safetensors"),
        (b"<!DOCTYPE html>", "it is a web page; expected"),
        (b"\n<html>", "it is a web page; expected"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "it is a Git LFS pointer and not the file",
        ),
        (b'{"weight_map": {}}', "it is a JSON file"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file (Keras)"),
        (b"\x1f\x8b\x08\0", "it is a gzip file: unpack it"),
        (save(TENSORS)[:-9], "damaged (incomplete metadata"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_is_no_weights_is_called_by_its_name(tmp_path, name, content, found):
    (tmp_path / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f"cannot read weights {tmp_path / name}: {found}" in error_of(read_weights, tmp_path / name)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (torch.optim.Adam(network().parameters()).state_dict(), "but the state of an optimizer; name the file"),
        ({"optimizers": [], "schedulers": [], "epoch": 1}, "but the state of a training (optimizers, schedulers)"),
        ({"optimizer": {}, "epoch": 1}, "but the state of a training (an optimizer)"),
        ({**TENSORS, "epoch": 1}, ": beside tensors there is 'epoch' of type int; save the tensors alone"),
        ({"model": {**TENSORS, "x": None}}, ": beside tensors there is 'x' of type NoneType; save the tensors alone"),
        ([TENSORS], "but a value of type list"),
        ({"epoch": 1, "lr": 0.1}, "but: epoch, lr; expected safetensors"),
    ],
)
def test_other_states_of_a_training_are_called_by_their_names(tmp_path, content, found):
    assert found in error_of(read_weights, stored(tmp_path / "w.pth", content))


@pytest.mark.parametrize(
    ("content", "name"),
    [(network(), "torch.nn.modules"), ({"a": TENSORS, "now": datetime.datetime(2026, 1, 1)}, "datetime.datetime")],
)
def test_classes_that_are_not_read_are_named(tmp_path, content, name):
    message = error_of(read_weights, stored(tmp_path / "w.pth", content))
    assert f"or a state dict of `torch.save(network.state_dict(), FILE)`; it asks for {name}" in message


class Code:
    """Pickles to a call that leaves a folder behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("beside", [np.float64(1), argparse.Namespace(a=1), np.arange(2)])
@pytest.mark.parametrize("where", ["beside", "inside", "object array"])
def test_what_is_let_through_runs_no_code(tmp_path, beside, where):
    code = Code(tmp_path / "ran")
    array = np.array([code, 1], object)
    values = {"beside": [beside, code], "inside": argparse.Namespace(x=code), "object array": array}
    content = {"state_dict": TENSORS, "x": values[where]}
    for old in (False, True):
        error_of(read_weights, stored(tmp_path / "w.pth", content, _use_new_zipfile_serialization=not old))
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content))
    error_of(read_weights, tmp_path / "w.pkl")
    assert not (tmp_path / "ran").exists()


def test_a_list_of_members_that_claims_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_files, "LARGEST_DIRECTORY", 1024)
    path = stored(tmp_path / "w.pth", {f"a{i}": torch.zeros(1) for i in range(100)})
    assert "it claims headers that are larger than any of their kind" in error_of(read_weights, path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_a_damaged_checkpoint_is_read_or_refused(tmp_path, data):
    path = stored(tmp_path / "w.pth", {"model": TENSORS, "best": np.float64(1)}, _use_new_zipfile_serialization=False)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(len(content), 600) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert all(isinstance(v, Tensor) for v in read_weights(path).values())
    except Exception as error:
        assert type(error).__name__ == "SrqError"


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict", "params_ema", "params", "model", "net"])
def test_spandrel_gets_what_it_reads_itself(tmp_path, key):
    spandrel = pytest.importorskip("spandrel")
    from sr_ptq_bench.backbones.spandrel import recognised

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = spandrel.architectures.RCAN.RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=16).state_dict()
        path = stored(tmp_path / "w.pth", {key: tensors})
        theirs = spandrel.ModelLoader().load_from_file(path).model.state_dict()
    for content in ({key: tensors}, {key: {f"module._orig_mod.{name}": v for name, v in tensors.items()}}):
        ours = recognised(stored(path, content)).model.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(v, theirs[name]) for name, v in ours.items())


def test_a_changed_data_type_of_numpy_does_not_end_the_process(tmp_path: Path) -> None:
    """NumPy itself crashes on a data type whose state lacks a field, as this changed byte makes one."""
    path = stored(tmp_path / "w.pth", {"model": TENSORS, "x": np.arange(3)}, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(b"NNNJ") == 1
    path.write_bytes(content.replace(b"NNNJ", b"N\x80NJ"))
    code = (
        "import sys; from pathlib import Path; from sr_ptq_bench import read_weights; read_weights(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
