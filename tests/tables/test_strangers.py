"""Tables of records that came from strangers: no text of theirs is obeyed by a terminal, a browser or a spreadsheet."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sr_ptq_bench.records.record import Record
from sr_ptq_bench.tables.formats import Bold, Column, Page, Sheet, render
from sr_ptq_bench.tables.leaderboard import page

COMMITTED = sorted((Path(__file__).parents[2] / "leaderboards/results/sample").glob("minmax-w4a4-x4-*.json"))[0]

EVIL = [
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\u202egnp.exe",
    "a\rb\x08c",
    '=HYPERLINK("http://evil","click")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1+1",
    "x;=1+1",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "[click][x]",
    "[x]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "a | b \\| c",
    "`<img src=x onerror=alert(1)>`",
    "</td><td>",
    "<!-- x",
    "--> <b>",
]
FORMATS = ["markdown", "csv", "latex", "json"]


def record(text: str) -> Record:
    """A record with this text wherever a record has text of any kind."""
    value = json.loads(COMMITTED.read_text(encoding="utf-8"))
    name = next(iter(value["scores"]))
    for where in (value["scores"], *value["references"].values()):
        renamed(where, name, text)
        where[text]["images"] = {f"{text}{index}": of for index, of in enumerate(where[text]["images"].values())}
    value["hashes"]["test"][text] = value["hashes"]["test"].pop(name)
    value["scope"]["short"] = value["scope"]["description"] = text
    value["figures"]["checkpoint"] = value["environment"]["cpu"] = text
    value["not_scored"] = [f"{text} too"]
    for options in value["spec"]["options"].values():
        options[text] = text
    value["spec"]["options"].setdefault("minmax", {})[text] = text
    return Record.model_validate_json(json.dumps(value), strict=True)


def renamed(table: dict[str, Any], old: str, new: str) -> None:
    table[new] = copy.deepcopy(table.pop(old))


class Tags(HTMLParser):
    """The tags of a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def rendered(markdown: str) -> set[str]:
    """The tags that a renderer makes of Markdown; one that checks no links and lets HTML through."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    renderer.validateLink = lambda _: True  # type: ignore[method-assign]
    return Tags(renderer.render(markdown)).tags


TABLES = {"table", "thead", "tbody", "tr", "th", "td"}
TEXT = {
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "p",
    "strong",
    "em",
    "ul",
    "ol",
    "li",
    "code",
    "pre",
    "blockquote",
    "hr",
    "br",
}
HARMLESS = TABLES | TEXT


def check(pages: list[Page]) -> None:
    """Nothing of a page is obeyed in any format."""
    for as_format in FORMATS:
        text = render(pages, as_format)
        assert all(c == "\n" or c.isprintable() for c in text)
    assert rendered(render(pages, "markdown")) <= HARMLESS
    for delimiter in ",;":
        for line in csv.reader(io.StringIO(render(pages, "csv")), delimiter=delimiter):
            for cell in line:
                assert not re.match(r"\s*[-=+@]", cell) or is_number(cell), cell


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_the_renderer_would_see_it():
    """Without the escapes the tests below fail."""
    assert rendered("[click](javascript:alert(1))") == {"p", "a"}
    assert rendered("a <img src=x onerror=alert(1)>") == {"p", "img"}
    assert rendered("- [x]: javascript:alert(1)\n\n[x]") == {"ul", "li", "p", "a"}


@pytest.mark.parametrize("text", EVIL)
def test_a_record_with_such_a_text_makes_a_harmless_page(text):
    check([page([record(text)])])


def paged(one: str, other: str) -> list[Page]:
    sheet = Sheet([Column(one), Column("b", "right")], [(one, (Bold(other), one)), (other, one)], one, other)
    return [Page("Made by `srq x`", one, [sheet], [other, f"{one}: {other}"], [{one: other, "x": -0.5}], lead=one)]


SYNTAX = ["](", "javascript:", *"[]():<>\\`|=;*a !\n"]
pieces = st.sampled_from([*EVIL, *SYNTAX])
texts = st.lists(pieces | st.text(max_size=3), max_size=6).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts, texts)
def test_no_text_is_obeyed(one, other):
    check(paged(one, other))


@given(st.text(max_size=20), st.text(max_size=20))
def test_json_keeps_the_text(one, other):
    (line,) = json.loads(render(paged(one, other), "json"))
    assert line == {one: other} | {"x": -0.5}


@pytest.mark.parametrize("text", ["a\\|b", "\\", "a\\", "|", "\\\\|"])
def test_a_cell_keeps_its_text_and_the_table_its_cells(text):
    sheet = Sheet([Column("a"), Column("b")], [(text, "x")])
    html = MarkdownIt("commonmark").enable("table").render(render([Page("m", "t", [sheet], [], [])], "markdown"))
    assert f"<td>{text}</td>" in re.sub(r' style="[^"]*"', "", html)


def test_negative_numbers_of_a_csv_file_stay_numbers():
    assert render(paged("a", "b"), "csv") == "a,x\nb,-0.5\n"
