"""Renew the rows of a table in README.md: `python tools/readme_table.py`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- table: (?P<path>\S+), bits (?P<bits>\S+) -->\n(?P<rows>.*?)<!-- /table -->", re.DOTALL)
REFERENCES = ("32/32", "–")
"""Bits of the FP network and of interpolations."""


def shown(table: str, bits: str) -> str:
    """The head of a generated table, the references, and the rows of these bits, as they stand between the marks."""
    scores, _, _ = table.partition("\n## ")
    head, rule, *rows = (line for line in scores.splitlines() if line.startswith("|"))
    column = [cell.strip() for cell in head.split("|")].index("W/A bits")
    kept = [row for row in rows if row.split("|")[column].strip() in (*REFERENCES, bits)]
    return "\n".join(["", head, rule, *kept, "", ""])


def renewed(readme: str) -> str:
    """README with the rows as they are in the file of the table; raises ValueError without marks."""
    block = BLOCK.search(readme)
    if block is None:
        raise ValueError("README.md has no marks of a table")
    rows = shown((ROOT / block["path"]).read_text(encoding="utf-8"), block["bits"])
    return readme[: block.start("rows")] + rows + readme[block.end("rows") :]


if __name__ == "__main__":
    page = ROOT / "README.md"
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
