"""Renew the tables of README.md and docs/ from the committed tables and records: `python tools/doc_tables.py`.

A table stands between one of these marks and `<!-- /table -->`; this tool writes it.

- `<!-- table: leaderboards/SUITE/TABLE.md, bits 2/2 -->`: the rows of these bits.
- `<!-- psnr: NAME -->`: PSNR of runs with seed 0, as `doc_tables.toml` describes it. Each field of `Run` has one value,
  or a list of values under `rows`, `columns` or `cell`. Fields of `rows` multiply, and so do those of `columns`; the
  values of `cell` stand beside each other. `names` are headings in place of values. `best = true` makes the best of the
  listed methods bold; a run whose levels are not bounded is none. `share = true` adds which share of a method's loss
  against FP is left by the next one; it takes the last two.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.protocol.run_spec import parse_options
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.records.files import read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sr_ptq_bench.records.record import Record

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- (table|psnr): (.*?) -->\n).*?<!-- /table -->", re.DOTALL)
ASKED = ROOT / "tools/doc_tables.toml"
FP = "FP"
REFERENCES = ("32/32", "–")
"""Bits of the FP network and of interpolations."""


@dataclass(frozen=True)
class Run:
    """A number of a table: `test` is SUITE/TEST SET; `method` has its options as after `-o`, or is FP."""

    test: str
    model: str
    scale: int
    bits: int
    method: str


def pages() -> list[Path]:
    """All pages that may have tables."""
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def renewed(page: str) -> str:
    """The page with its tables as the committed tables and records have them."""
    makers: dict[str, Callable[[str], str]] = {
        "table": rows_of_a_table,
        "psnr": lambda name: table_of_psnr(asked_for()[name]),
    }
    return BLOCK.sub(lambda found: f"{found[1]}\n{makers[found[2]](found[3])}\n\n<!-- /table -->", page)


def rows_of_a_table(what: str) -> str:
    """Rows of a generated table; `what` is its path and the bits."""
    path, bits = what.split(", bits ")
    return shown((ROOT / path).read_text(encoding="utf-8"), bits)


def shown(table: str, bits: str) -> str:
    """The head of a generated table, the references, and the rows of these bits."""
    scores, _, _ = table.partition("\n## ")
    head, rule, *rows = (line for line in scores.splitlines() if line.startswith("|"))
    column = [cell.strip() for cell in head.split("|")].index("W/A bits")
    kept = [row for row in rows if row.split("|")[column].strip() in (*REFERENCES, bits)]
    return "\n".join([head, rule, *kept])


def asked_for() -> dict[str, dict[str, Any]]:
    """The tables of PSNR by their names."""
    return tomllib.loads(ASKED.read_text(encoding="utf-8"))


def table_of_psnr(asked: dict[str, Any]) -> str:
    """A table of PSNR in dB; `asked` is a table of `doc_tables.toml`."""
    asked = dict(asked)
    best, share, names = asked.pop("best", False), asked.pop("share", False), asked.pop("names", {})
    lists: dict[str, dict[str, list[Any]]] = {where: asked.pop(where, {}) for where in ("rows", "columns", "cell")}
    methods = next((of["method"] for of in lists.values() if "method" in of), [])

    def number(run: Run) -> str:
        """A printed PSNR; a dash if it is not measured."""
        if not (record := record_of(run)):
            return "–"
        text = f"{psnr(run):.2f}"
        rivals = [replace(run, method=method) for method in methods if method != FP]
        ranked = [f"{psnr(rival):.2f}" for rival in rivals if (of := record_of(rival)) and not of.most_levels]
        is_best = best and run in rivals and not record.most_levels and text == max(ranked, key=float)
        return f"**{text}**" if is_best else text

    def cell(row: Mapping[str, Any], column: Mapping[str, Any]) -> str:
        runs = [Run(**asked, **row, **column, **each) for each in unfolded(lists["cell"])]
        text = "/".join(map(number, runs))
        return f"{text} ({loss(runs[-1]) / loss(runs[-2]):.0%})" if share else text

    rows, columns = (list(unfolded(lists[where])) for where in ("rows", "columns"))
    body = [[heading(row, names), *(cell(row, column) for column in columns)] for row in rows]
    return tabulate(body, ["", *(heading(column, names) for column in columns)], tablefmt="pipe", disable_numparse=True)


def unfolded(lists: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """All combinations of the values, by field."""
    for values in product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def heading(values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """`x2, 4/4`, or a method's name."""
    forms: dict[str, Callable[[Any], str]] = {
        "scale": "x{}".format,
        "bits": "{0}/{0}".format,
        "test": lambda test: test.rpartition("/")[2],
    }
    return ", ".join(names.get(value, forms.get(field, str)(value)) for field, value in values.items())


def loss(run: Run) -> float:
    """How much the PSNR of a run is below that of the FP network."""
    return psnr(replace(run, method=FP)) - psnr(run)


def psnr(run: Run) -> float:
    """The PSNR of a run; NaN if it is not measured."""
    record, test = record_of(run), run.test.rpartition("/")[2]
    if record is None:
        return math.nan
    return (record.references.fp if run.method == FP else record.scores)[test].mean["psnr"]


@cache
def record_of(run: Run) -> Record | None:
    """The last record of a run; of FP any one of its network and test set."""
    suite, _, test = run.test.rpartition("/")
    known = [
        record
        for record in records(suite)
        if (record.spec.model, record.spec.scale, record.spec.seed) == (run.model, run.scale, 0)
        and test in record.scores
    ]
    if run.method != FP:
        asked = (Bits.parse(str(run.bits)), *resolved(suite, run.method))
        known = [record for record in known if (record.spec.bits, record.spec.method, record.spec.options) == asked]
    return max(known, key=lambda record: record.created, default=None)


@cache
def records(suite: str) -> list[Record]:
    """The committed records of a suite."""
    return read_records(ROOT / "leaderboards/results" / suite)


@cache
def resolved(suite: str, method: str) -> tuple[str, dict[str, Any]]:
    """A method's name and all its options, as a record has them."""
    name, *options = method.split()
    found = resolve_method(plugins(), name, parse_options(tuple(options)), Suite.load(suite).options)
    return name, {part: dict(values) for part, values in found.option_values.items()}


@cache
def plugins() -> Plugins:
    """Those that are installed."""
    return Plugins()


if __name__ == "__main__":
    for page in pages():
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
