"""Records, suites, words and lists of any content: read, or refused in one line."""

from __future__ import annotations

import json

import pytest
from hostile import (
    DEEP,
    HUGE,
    INSTALLED,
    RECORDS,
    few,
    mutated,
    places,
    put,
    refused_in_one_line,
    values,
)
from hypothesis import given
from hypothesis import strategies as st
from refusals import error_of
from tiny import TinySuite, toml

from sr_ptq_bench import Bits, SrqError
from sr_ptq_bench.data.image_set import ImportedSet
from sr_ptq_bench.data.lmdb import parse_meta
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.library.fetch import Downloads
from sr_ptq_bench.protocol.request import with_tests
from sr_ptq_bench.protocol.run_spec import RunSpec, parse_options
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.tables.leaderboard import page


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
    error_of(read_record, tmp_path / "r.json")


@pytest.mark.parametrize(
    "part", [("complexity",), ("spec", "bits"), ("scores", "photos"), ("references", "fp", "photos")]
)
def test_a_key_too_many_in_any_part(tmp_path, part):
    (tmp_path / "r.json").write_text(json.dumps(put(json.loads(RECORDS[0].read_text()), part, 1, "more")))
    with pytest.raises(SrqError, match="more"):
        read_record(tmp_path / "r.json")


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
    error_of(Suite.load, str(tmp_path / "suite.toml"))


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
    error_of(parse_meta, line, "meta_info.txt")


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
