"""A page of tables in a terminal: columns that do not fit are left out, and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ...errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from ...tables.formats import Cell, Page, Sheet

GAP = 1


def show_page(page: Page, out: Console) -> None:
    """A page of tables made for the width of this terminal: columns that do not fit are named below."""
    out.print(printable(page.title), style="bold")
    parts: list[Table | str] = [page.lead, *(part for sheet in page.sheets for part in _parts(sheet, out.width))]
    for part in filter(None, parts):
        out.print(printable(part) if isinstance(part, str) else part)
    for note in page.notes:
        out.print(f"- {printable(note)}")


def _parts(sheet: Sheet, room: int) -> Iterator[Table | str]:
    """Heading, lead, the table in `room` columns of the terminal, and the names of the columns that did not fit."""
    yield sheet.heading
    yield sheet.lead
    widths = [_width(sheet, index) for index in range(len(sheet.columns))]
    shown = set(range(len(widths)))
    for index in sorted(range(1, len(widths)), key=lambda index: _worth(sheet.columns[index].head)):
        if sum(widths[each] + GAP for each in shown) > room:
            shown.remove(index)
    table = Table(box=SIMPLE_HEAD, padding=(0, GAP, 0, 0), show_edge=False)
    for index in sorted(shown):
        column = sheet.columns[index]
        table.add_column(printable(column.head), justify=column.alignment, width=widths[index])
    for row in sheet.rows:
        table.add_row(*(_styled(row[index]) for index in sorted(shown)))
    yield table
    hidden = ", ".join(column.head for index, column in enumerate(sheet.columns) if index not in shown)
    yield f"Too narrow for: {hidden}; widen the terminal, or see the file." if hidden else ""


def _worth(head: str) -> int:
    """What a narrow terminal leaves out first."""
    for worth, words in enumerate(("Speedup", "Compression", "Scope", "Against")):
        if words in head:
            return worth
    return len(head) + 10


def _width(sheet: Sheet, column: int) -> int:
    """The width of a column: heads break between words, cells never."""
    cells = ("".join(row[column]) for row in sheet.rows)
    return max([*map(cell_len, cells), *map(cell_len, sheet.columns[column].head.split())], default=1)


def _styled(cell: Cell) -> Text:
    from ...tables.formats import Bold

    parts = (cell,) if isinstance(cell, str) else cell
    return Text.assemble(*((printable(part), "bold" if isinstance(part, Bold) else "") for part in parts))
