"""Text files as editors and spreadsheets leave them."""

from __future__ import annotations

import codecs
import csv
import io
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import error_of

from sr_ptq_bench.storage.text import read_table, read_text, read_toml

MARKED = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("encoding", MARKED)
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    path = tmp_path / "x.toml"
    path.write_bytes(MARKED[encoding] + 'name = "é"\r\n[a]\r\nb = 1\r\n'.encode(encoding))
    assert read_toml(path, "suite") == {"name": "é", "a": {"b": 1}}


def test_what_is_no_text_is_said(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes('name = "é"'.encode("latin-1"))
    assert error_of(read_toml, path, "suite").startswith(f"cannot read suite {path}: it is no UTF-8 text; expected")
    with pytest.raises(UnicodeDecodeError):
        read_text(path, 100)
    path.write_bytes(b" " * 2**19)
    assert "larger than 256 KiB" in error_of(read_toml, path, "suite")


ROWS = [{"a": "x", "b": "1"}, {"a": "é; z, w", "b": "34.5"}]


def saved(delimiter: str, mark: bytes = b"", encoding: str = "utf-8", end: str = "\r\n", before: str = "") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["a", "b"], delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows(ROWS)
    return mark + (before + text.getvalue()).encode(encoding)


@pytest.mark.parametrize("delimiter", ",;\t")
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_that_a_spreadsheet_saved(tmp_path, delimiter, mark, end):
    (tmp_path / "x.csv").write_bytes(saved(delimiter, mark, end=end))
    assert read_table(tmp_path / "x.csv", 999)[1] == [(2, ROWS[0]), (3, ROWS[1])]


def test_a_table_in_utf_16_and_one_that_names_its_delimiter(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(saved("\t", codecs.BOM_UTF16_LE, "utf-16-le"))
    assert [row for _, row in read_table(path, 999)[1]] == ROWS
    path.write_bytes(saved("|", before="sep=|\r\n"))
    assert read_table(path, 999)[1] == [(3, ROWS[0]), (4, ROWS[1])]


def test_empty_lines_are_left_out_and_lines_keep_their_numbers(tmp_path):
    (tmp_path / "x.csv").write_text("a; b\n1;2\n;\n;\n3;4,5\n;;\n")
    assert read_table(tmp_path / "x.csv", 99)[1] == [(2, {"a": "1", "b": "2"}), (5, {"a": "3", "b": "4.5"})]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_no_text(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with suppress(UnicodeDecodeError, csv.Error):
        assert isinstance(read_table(tmp_path / "x.csv", 99)[1], list)
