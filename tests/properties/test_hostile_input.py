"""Whatever a file or an option holds, it is accepted with a valid value or refused with one line; nothing else."""

from __future__ import annotations

import io
import json
import struct
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import PIL.Image
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from tiny import TinySuite, plugins, toml, write_images

from sr_ptq_bench import Bits, SrqError
from sr_ptq_bench.cache.shared import Cache
from sr_ptq_bench.data import lmdb as lmdb_store
from sr_ptq_bench.data.image_set import ImportedSet
from sr_ptq_bench.data.images import header
from sr_ptq_bench.data.images.pixels import decode, read_image
from sr_ptq_bench.data.lmdb import parse_meta
from sr_ptq_bench.errors import LONGEST
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.library.fetch import Downloads
from sr_ptq_bench.protocol.request import with_tests
from sr_ptq_bench.protocol.run_spec import RunSpec, parse_options
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.state.save_load import load_state, save_state
from sr_ptq_bench.records import files as records
from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.storage import files, text
from sr_ptq_bench.storage import weights as checkpoint
from sr_ptq_bench.storage.weights import read_weights
from sr_ptq_bench.tables import published_scores as published
from sr_ptq_bench.tables.leaderboard import page
from sr_ptq_bench.tables.published_scores import read_published

RECORDS = sorted((Path(__file__).parents[2] / "leaderboards/results/sample").glob("*-x4-*.json"))
INSTALLED = plugins()
few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
HUGE = "9" * 5000
DEEP = "[" * 20000
numbers = st.integers() | st.floats() | st.sampled_from([10**30, 10**400, -1, 0, 2**63])
scalars = st.none() | st.booleans() | numbers | st.text(max_size=30)
values = st.recursive(
    scalars, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=8), of, max_size=3), max_leaves=6
)


@contextmanager
def refused_in_one_line():
    """The one exception that may come out."""
    try:
        yield
    except SrqError as error:
        assert str(error).isprintable()
        assert 0 < len(str(error)) <= LONGEST


def refusal(function, *arguments) -> str:
    """What a function says that must refuse its arguments."""
    with pytest.raises(SrqError) as caught:
        function(*arguments)
    with refused_in_one_line():
        raise caught.value
    return str(caught.value)


def mutated(data: st.DataObject, content: bytes, within: int | None = None) -> bytes:
    """Bytes replaced, inserted, removed, or cut off at the end."""
    end = min(len(content), within or len(content))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, end))
        stop = data.draw(st.integers(start, min(end, start + 12)))
        content = content[:start] + data.draw(st.binary(max_size=12)) + content[stop:]
    return content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content


def places(value, at=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


def put(tree, where, value, key=None):
    """The tree with another value in a place, or there with one key more."""
    if not where:
        return {**tree, key: value} if key is not None and isinstance(tree, dict) else value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[where[0]] = put(tree[where[0]], where[1:], value, key)
    return copy


# Records


@few
@given(st.data())
def test_a_changed_record_is_read_or_refused_in_one_line(tmp_path, data):
    """Bytes that were changed, values of other types and sizes, keys that do not belong there."""
    whole = RECORDS[0].read_bytes()
    path = tmp_path / "r.json"
    if data.draw(st.booleans()):
        path.write_bytes(mutated(data, whole))
    else:
        tree = json.loads(whole)
        where = data.draw(st.sampled_from(places(tree)))
        key = data.draw(st.none() | st.text(max_size=8))
        path.write_text(json.dumps(put(tree, where, data.draw(values), key)), encoding="utf-8", errors="replace")
    with refused_in_one_line():
        page([read_record(path)])


@pytest.mark.parametrize(
    "content", [DEEP, "{" + '"a":{' * 20000, HUGE, "", "\x00" * 99, '{"schema_version": ' + HUGE + "}"]
)
def test_a_record_that_is_meant_to_exhaust_is_refused(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    refusal(read_record, tmp_path / "r.json")


@pytest.mark.parametrize(
    "part", [("complexity",), ("spec", "bits"), ("scores", "photos"), ("references", "fp", "photos")]
)
def test_a_key_too_many_in_any_part(tmp_path, part):
    (tmp_path / "r.json").write_text(json.dumps(put(json.loads(RECORDS[0].read_text()), part, 1, "more")))
    with pytest.raises(SrqError, match="more"):
        read_record(tmp_path / "r.json")


# Suites and the words of the command line


@few
@given(st.data())
def test_a_changed_suite_is_read_or_refused_in_one_line(tmp_path_factory, data):
    table = {
        "name": "tiny",
        "model": "tiny",
        "weights": {"2": "weights.safetensors"},
        "calibration": {"source": {"hr": "calibration"}, "patches": 4, "size": 8},
        "test": {"noise": {"hr": "test"}},
        "tiles": {"size": 96, "overlap": 16},
        "options": {"dqc.lr": 0.1},
    }
    path = tmp_path_factory.getbasetemp() / "suite.toml"
    if data.draw(st.booleans()):
        path.write_bytes(mutated(data, toml(table).encode()))
    else:
        where = data.draw(st.sampled_from(places(table)[1:]))
        changed = put(table, where, data.draw(values), data.draw(st.none() | st.text(max_size=8)))
        path.write_text(toml(changed), encoding="utf-8", errors="replace")
    with refused_in_one_line():
        Suite.load(str(path))


@pytest.mark.parametrize(
    "content", [f"a = {DEEP}", f"a = {HUGE}", "a." * 40000 + "b = 1", "[" + "a." * 40000 + "b]", "\ufeff", "a = 1" * 9]
)
def test_a_suite_that_is_meant_to_exhaust_is_refused(tmp_path, content):
    (tmp_path / "suite.toml").write_text(content)
    refusal(Suite.load, str(tmp_path / "suite.toml"))


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc", "C:\\x", "a/b", "a\\b", "a\0b", "a\n", "-x", ".x", "x" * 101, ""]
)
def test_a_suite_s_name_stays_in_its_folder(tmp_path, name):
    suite = TinySuite.write(tmp_path)
    with pytest.raises(SrqError, match="name"):
        Suite.load(str(suite.change(name=name)))


@few
@given(
    st.lists(
        st.text(max_size=20) | st.sampled_from(["dqc.lr=" + HUGE, "lr=nan", "a=\ud800", "=", "dqc.=1"]), max_size=3
    )
)
def test_any_options_are_read_or_refused_in_one_line(pairs):
    with refused_in_one_line():
        parsed = parse_options(tuple(pairs))
        resolve_method(INSTALLED, "minmax+dqc", parsed)


@few
@given(st.text(max_size=20) | st.sampled_from([HUGE, f"w{HUGE}a2", "٤", "w4a٤", "+", "minmax+" * 999]))
def test_bits_and_methods(text):
    with refused_in_one_line():
        assert Bits.parse(text).weight in range(2, 9)
    with refused_in_one_line():
        resolve_method(INSTALLED, text, {})


@few
@given(
    st.lists(st.text(max_size=20) | st.sampled_from(["../x=a", "a=~nobody/x", "a=\0", "x" * 5000 + "=a"]), max_size=3)
)
def test_test_sets_of_one_s_own(tests):
    with refused_in_one_line():
        suite = with_tests(Suite.load("sample"), tuple(tests))
        RunSpec(method="minmax", bits=Bits.parse("4"), scale=2, suite=suite)
        assert "/" not in suite.name


# Lists of what lies in a store


@few
@given(st.data())
def test_a_meta_file(data):
    whole = b"0001.png (480,640,3) 1\n0002.png (480,640,3) 1\n"
    with refused_in_one_line():
        sizes = parse_meta(mutated(data, whole).decode(errors="replace"), "meta_info.txt")
        assert all(set(key).isdisjoint("/\\.\0") for key in sizes)


@pytest.mark.parametrize(
    "line",
    [
        "../x.png (4,4,3) 1",
        "/x.png (4,4,3) 1",
        "a\0.png (4,4,3) 1",
        f"a.png ({HUGE},4,3) 1",
        "a.png (99999,99999,3) 1",
        "x" * 300 + ".png (4,4,3) 1",
    ],
)
def test_a_meta_line_that_reaches_out_or_claims_too_much_is_refused(line):
    refusal(parse_meta, line, "meta_info.txt")


@few
@given(st.data())
def test_what_an_import_and_a_download_remember(tmp_path, data):
    known = {"images": 1, "sha256": dict.fromkeys("234", "a" * 64), "bytes": {"HR.lmdb": 1}}
    (tmp_path / "import.json").write_bytes(mutated(data, json.dumps(known).encode()))
    with refused_in_one_line():
        assert ImportedSet.read(tmp_path).sha256.keys() == {2, 3, 4}
    (tmp_path / "sha256.json").write_bytes(mutated(data, json.dumps({"file": "a" * 64}).encode()))
    with refused_in_one_line():
        Downloads(tmp_path).recorded("file")


# Images


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (9, 7), (1, 200, 3)).save(buffer, kind)
    return buffer.getvalue()


@few
@given(st.data(), st.sampled_from(["PNG", "JPEG"]))
def test_an_image(data, kind):
    content = mutated(data, encoded(kind), within=80)
    with refused_in_one_line():
        assert decode(content, "image").nbytes <= 3 * header.MAX_PIXELS


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with a valid header of this size and more chunks."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    written = [
        struct.pack(">I", len(of)) + kind + of + struct.pack(">I", zlib.crc32(kind + of))
        for kind, of in (header, *chunks)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


BOMB = zlib.compress(b"\0" * 2**27, 9)


@pytest.mark.parametrize(
    "content",
    [
        png(2**31 - 1, 2**31 - 1),
        png(40000, 40000, (b"IDAT", BOMB)),
        png(0, 4),
        png(4, 4, (b"zTXt", b"a\0\0" + BOMB), (b"IDAT", b"")),
        png(4, 4, (b"iCCP", b"a\0\0" + BOMB), (b"IDAT", b"")),
    ],
    ids=["gigapixels", "bomb", "nothing", "text", "profile"],
)
def test_a_png_that_claims_gigabytes(content):
    assert refusal(decode, content, "image").startswith("image: ")


# Tensors


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


def parts_of(state: bytes) -> tuple[dict, dict[str, torch.Tensor]]:
    length = int.from_bytes(state[:8], "little")
    return json.loads(json.loads(state[8 : 8 + length])["__metadata__"]["srq"]), load(state)


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
    with suppress(UnicodeEncodeError, ValueError):
        check_state(save(tensors, {"srq": json.dumps(changed)}), teacher)


@pytest.mark.parametrize("header", [DEEP, HUGE, "", "null", "{", '{"version": ' + HUGE + "}"])
def test_a_header_of_a_state_that_is_meant_to_exhaust_is_refused(teacher, state, header):
    refusal(load_state, save(load(state), {"srq": header}), teacher)


@pytest.mark.parametrize("length", [0, 1, 7, 2**63, 2**64 - 1])
def test_a_state_that_claims_a_length_of_its_header_is_refused(teacher, state, length):
    refusal(load_state, length.to_bytes(8, "little") + state[8:], teacher)


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
        check_state(save(tensors | {name: tensor.clone()}, {"srq": json.dumps(header)}), teacher)


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


# Sizes


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
