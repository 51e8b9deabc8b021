"""Tables as text: Markdown and LaTeX for readers, CSV and JSON for programs."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tabulate import LATEX_ESCAPE_RULES, tabulate

from ..errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Format = Literal["markdown", "csv", "latex", "json"]
Alignment = Literal["left", "center", "right"]

NONE = "–"
"""The text of an empty cell."""
_LATEX = LATEX_ESCAPE_RULES | {"±": r"$\pm$", NONE: "--", "✓": r"$\checkmark$"}


class Bold(str):
    """A part of a cell that stands out."""

    __slots__ = ()


Cell = str | tuple[str, ...]
"""A text, or the parts of one."""


@dataclass(frozen=True)
class Column:
    """The head of a column, and how its cells are aligned."""

    head: str
    alignment: Alignment = "left"


@dataclass(frozen=True)
class Sheet:
    """One table with a heading, which the first table of a page does not need, and the text before it."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    heading: str = ""
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """What one file holds: tables with notes for readers, and the same as lines of named values for programs.

    `made` names the command that made the page; `lead` is the text before all tables.
    """

    made: str
    title: str
    sheets: Sequence[Sheet]
    notes: Sequence[str]
    lines: Sequence[Mapping[str, Any]]
    lead: str = ""


def markdown(page: Page) -> str:
    """A Markdown file with pipe tables."""
    tables = [
        block
        for sheet in page.sheets
        for block in (sheet.heading and f"## {_inert(sheet.heading)}", _inert(sheet.lead), _pipes(sheet))
    ]
    notes = "\n".join(f"- {' '.join(_inert(note).split())}" for note in page.notes)
    blocks = [f"<!-- {page.made}; do not edit. -->", f"# {_inert(page.title)}", _inert(page.lead), *tables, notes]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _inert(text: str) -> str:
    """Text from anybody, made neither HTML nor a link in Markdown."""
    return re.sub(r"\](?=[(\[:])", r"]\\", printable(text)).replace("<", "&lt;")


def latex(page: Page) -> str:
    """Tabular environments, with all other text as comments."""
    tables = [
        block for sheet in page.sheets for block in (_comment(sheet.heading), _comment(sheet.lead), _tabular(sheet))
    ]
    blocks = [_comment(page.made), _comment(page.title), _comment(page.lead), *tables, *map(_comment, page.notes)]
    return "\n".join(filter(None, blocks)) + "\n"


def render(pages: Iterable[Page], as_format: Format) -> str:
    """Pages as one text; CSV and JSON are one table of the lines of all pages."""
    pages = list(pages)
    if as_format == "markdown":
        return "\n".join(map(markdown, pages))
    if as_format == "latex":
        return "\n".join(map(latex, pages))
    import pandas as pd  # takes as long as a thousand records, and Markdown does without

    lines = [line for page in pages for line in page.lines]
    if as_format == "csv":
        inert = [{harmless(key): harmless(value) for key, value in line.items()} for line in lines]
        return pd.DataFrame(inert, dtype=object).to_csv(index=False, lineterminator="\n")
    records = pd.DataFrame(lines, dtype=object).to_dict("records")
    spelt = [{key: _json_value(value) for key, value in line.items()} for line in records]
    text = json.dumps(spelt, indent=1, ensure_ascii=False, allow_nan=False)
    return "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text) + "\n"


def harmless(value: Any) -> Any:
    """A value of a CSV file that no spreadsheet takes for a formula, also if semicolons separate values."""
    return re.sub(r"(^|;)(?=\s*[-=+@])", r"\1'", printable(value)) if isinstance(value, str) else value


def _json_value(value: Any) -> Any:
    """JSON has neither NaN nor infinity; the records spell infinity the same way."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _pipes(sheet: Sheet) -> str:
    def escape(text: str) -> str:
        return _inert(text.replace("\\", r"\\")).replace("|", r"\|")

    return _tabulated(sheet, "pipe", escape, "**{}**")


def _tabular(sheet: Sheet) -> str:
    return _tabulated(
        sheet, "latex_raw", lambda text: "".join(_LATEX.get(c, c) for c in printable(text)), r"\textbf{{{}}}"
    )


def _tabulated(sheet: Sheet, style: str, escape: Callable[[str], str], bold: str) -> str:
    def written(cell: Cell) -> str:
        parts = (cell,) if isinstance(cell, str) else cell
        texts = ((bold.format(escape(part)) if isinstance(part, Bold) else escape(part)) for part in parts)
        return " ".join("".join(texts).split())

    return tabulate(
        [[written(cell) for cell in row] for row in sheet.rows],
        [written(column.head) for column in sheet.columns],
        tablefmt=style,
        colalign=[column.alignment for column in sheet.columns],
        disable_numparse=True,
    )


def _comment(text: str) -> str:
    return f"% {' '.join(printable(text).split())}" if text else ""
