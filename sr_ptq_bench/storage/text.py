"""Text files as editors and spreadsheets leave them: UTF-8, or what a byte order mark says."""

from __future__ import annotations

import codecs
import csv
import re
import tomllib
from io import StringIO
from typing import TYPE_CHECKING, Any

from ..errors import SrqError
from .files import read_whole

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_TOML = 2**18
MOST_DOTS = 200
"""Dots in a line: tomllib takes minutes for a key of 40,000 parts."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: Path, limit: int) -> str:
    """The text of a file of at most `limit` bytes; raises as `read_whole` does, and UnicodeDecodeError for no text."""
    data = read_whole(path, limit)
    encoding = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), "utf-8")
    text = data.decode(encoding)
    if data and not text:
        raise UnicodeDecodeError(encoding, data, 0, len(data), "a byte order mark and nothing else")
    return text


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """The table of a TOML file; errors call the file a `kind`. Raises SrqError."""
    try:
        text = read_text(path, LARGEST_TOML)
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise SrqError(f"{kind} {path}: a line has more than {MOST_DOTS} dots; shorten it")
        return tomllib.loads(text)
    except OSError as error:
        raise SrqError(f"cannot read {kind} {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SrqError(f"cannot read {kind} {path}: it is no UTF-8 text; expected a TOML file") from error
    except (ValueError, RecursionError) as error:  # no TOML, a number of 5,000 digits, deep nesting
        raise SrqError(f"cannot read {kind} {path}: {error}; expected a TOML file") from error


def read_table(path: Path, limit: int) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file, and its lines by number as values by column; surplus values are under `more`.

    Commas, semicolons or tabs separate the values, as spreadsheets write them; with semicolons and tabs a number may
    have a decimal comma. Empty lines are left out. Raises as `read_text` does, and csv.Error.
    """
    text = read_text(path, limit)
    above = 0
    if told := re.match(r"sep=(.)\r?\n", text):  # Excel's own line
        text, above = text[told.end() :], 1
    head = text.split("\n", 1)[0]
    delimiter = told[1] if told else max(",;\t", key=head.count)
    rows = csv.DictReader(StringIO(text, newline=""), restkey="more", restval="", delimiter=delimiter)
    rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
    lines = ((above + rows.line_num, row) for row in rows)
    numbered = [(number, row) for number, row in lines if any("".join(of) for of in row.values())]
    if delimiter != ",":
        numbered = [(number, _with_points(row)) for number, row in numbered]
    return list(rows.fieldnames), numbered


def _with_points(row: dict[str, str]) -> dict[str, str]:
    comma = re.compile(r"[+-]?\d+,\d+")
    return {key: v.replace(",", ".") if comma.fullmatch(str(v)) else v for key, v in row.items()}
