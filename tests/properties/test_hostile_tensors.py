"""Weights and states of any bytes, shapes and sizes: tensors that can be used, or one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hostile import (
    DEEP,
    HUGE,
    few,
    mutated,
    places,
    put,
    refused_in_one_line,
    values,
)
from hypothesis import example, given
from hypothesis import strategies as st
from refusals import error_of
from safetensors.torch import load, save
from states import joined, parts_of
from tiny import TinySuite, plugins, write_images

from sr_ptq_bench import Bits, SrqError
from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.data import lmdb as lmdb_store
from sr_ptq_bench.data.images import header
from sr_ptq_bench.data.images.pixels import read_image
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.state.save_load import load_state, save_state
from sr_ptq_bench.records import files as records
from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.storage import files, text
from sr_ptq_bench.storage import weights as checkpoint
from sr_ptq_bench.storage.weights import read_weights
from sr_ptq_bench.tables import published_scores as published
from sr_ptq_bench.tables.published_scores import read_published


@few
@given(st.data())
def test_weights(tmp_path, data):
    path = tmp_path / "w.safetensors"
    path.write_bytes(mutated(data, save({"a": torch.ones(4), "b": torch.zeros(2, 2)})))
    with refused_in_one_line():
        assert all(tensor.layout == torch.strided for tensor in read_weights(path).values())


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = TinySuite.write(tmp_path_factory.mktemp("tiny")).folder
    return plugins().load_model("tiny", 2, folder / "weights.safetensors")[0]


@pytest.fixture(scope="module")
def state(teacher):
    """The state of a student with a bias that was changed."""
    student = quantize(teacher, Bits.parse("4"))
    student.network.tail.bias.data += 1
    return save_state(student, teacher)


def check_state(data: bytes, teacher) -> None:
    """Refused in one line, or a student with bounds that can be used."""
    with refused_in_one_line():
        for quantizer in load_state(data, teacher).quantizers.values():
            quantizer.bounds.tensors()


@few
@given(st.data())
def test_a_changed_state_is_read_or_refused_in_one_line(teacher, state, data):
    check_state(mutated(data, state), teacher)


@few
@given(st.data())
def test_a_state_with_another_header_is_read_or_refused_in_one_line(teacher, state, data):
    header, tensors = parts_of(state)
    where = data.draw(st.sampled_from(places(header)))
    changed = put(header, where, data.draw(values), data.draw(st.none() | st.text(max_size=8)))
    check_state(joined(changed, tensors), teacher)


@pytest.mark.parametrize("header", [DEEP, HUGE, "", "null", "{", '{"version": ' + HUGE + "}"])
def test_a_header_of_a_state_that_is_meant_to_exhaust_is_refused(teacher, state, header):
    error_of(load_state, save(load(state), {"srq": header}), teacher)


@pytest.mark.parametrize("length", [0, 1, 7, 2**63, 2**64 - 1])
def test_a_state_that_claims_a_length_of_its_header_is_refused(teacher, state, length):
    error_of(load_state, length.to_bytes(8, "little") + state[8:], teacher)


@example(torch.zeros(()))
@example(torch.zeros(2, 0))
@example(torch.zeros(2, 3, 4))
@example(torch.tensor([float("nan"), 1.0]))
@example(torch.tensor(float("inf")))
@example(torch.tensor(1, dtype=torch.int64))
@example(torch.tensor(1.0, dtype=torch.float64))
@example(torch.tensor(True))
@given(st.builds(torch.zeros, st.lists(st.integers(0, 3), max_size=3).map(tuple)))
def test_tensors_of_a_state_of_any_shape_and_kind_are_read_or_refused_in_one_line(teacher, state, tensor):
    header, tensors = parts_of(state)
    for name in tensors:
        check_state(joined(header, tensors | {name: tensor.clone()}), teacher)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(2**40),
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(4, device="meta"),
        torch.zeros(2, dtype=torch.complex64),
    ],
    ids=["expanded", "sparse", "meta", "complex"],
)
def test_a_tensor_that_is_more_than_its_bytes(tmp_path, tensor):
    torch.save({"w": tensor}, tmp_path / "w.pth")
    with pytest.raises(SrqError, match=r"hold no table of tensors|damaged"):
        read_weights(tmp_path / "w.pth")


def test_what_is_larger_than_its_kind_can_be_is_not_read(tmp_path, monkeypatch):
    """The limits are lowered; a sparse file would do as well."""
    path = tmp_path / "r.json"
    path.write_bytes(b" " * 2000)
    for module, limit, read in (
        (records, "LARGEST_FILE", read_record),
        (published, "LARGEST_FILE", read_published),
        (checkpoint, "LARGEST_FILE", read_weights),
        (header, "LARGEST_FILE", read_image),
        (text, "LARGEST_TOML", lambda path: Suite.load(str(path.rename(path.with_suffix(".toml"))))),
    ):
        monkeypatch.setattr(module, limit, 1024)
        with pytest.raises(SrqError, match=r"r\.(json|toml).* is larger than 1 KiB, the limit for such a file"):
            read(path)


def test_a_zip_of_weights_that_unpacks_to_more_than_it_is(tmp_path, monkeypatch):
    import zipfile

    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", b"\0" * 2**20)
    monkeypatch.setattr(checkpoint, "LARGEST_FILE", 2**16)
    with pytest.raises(SrqError, match="is larger than 64 KiB"):
        read_weights(tmp_path / "w.pth")


def test_cached_scores_of_any_size_are_computed_anew(tmp_path, monkeypatch):
    said = []
    entries = Cache(tmp_path, said.append)
    entries.scores({}, dict)
    (path,) = entries.folder.iterdir()
    path.write_bytes(b" " * 2000)
    monkeypatch.setattr(files, "SEALED", 1024)
    assert entries.scores({}, dict) == {}
    assert said == [f"{path} is damaged; it is now {path.name}.bad"]


def test_a_file_without_an_end_is_not_read_to_its_end():
    with pytest.raises(SrqError, match="is larger than 1 KiB"):
        files.read_whole(Path("/dev/zero"), 1024)


def test_a_meta_file_that_is_too_large(tmp_path, monkeypatch):
    (tmp_path / "meta_info.txt").write_text("x" * 2000)
    monkeypatch.setattr(lmdb_store, "_LARGEST_META", 1024)
    with pytest.raises(SrqError, match=r"meta_info\.txt is larger than 1 KiB"):
        lmdb_store.check_lmdb(tmp_path)


def test_an_lmdb_entry_that_is_too_large(tmp_path, monkeypatch):
    folder = tmp_path / "a.lmdb"
    lmdb_store.write_lmdb(write_images(tmp_path / "images", big=(64, 64)), folder)
    monkeypatch.setattr(lmdb_store, "LARGEST_FILE", 1024)
    for read in (lmdb_store.check_lmdb, lambda where: lmdb_store.read_entry(where, "big")):
        with pytest.raises(SrqError, match=r"a\.lmdb\[big\] is larger than 1 KiB, the limit for such a file"):
            read(folder)
