"""The pages of a site, as any reader of HTML sees them."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """The elements and the cells of a page, as any reader of HTML sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._cell = tag in ("td", "th") or (self._cell and tag in ("a", "b"))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("table", "caption"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    @property
    def board(self) -> list[dict[str, str]]:
        head, *rows = ([cell.strip() for cell in row] for row in self.rows)
        return [dict(zip(head, row, strict=True)) for row in rows]
