"""The counts that the pages and tables state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from doc_pages import ROOT
from oracle import swinir
from paper_counts import count_as_2dquant

from sr_ptq_bench import Bits, Student
from sr_ptq_bench.backbones.spandrel import DAT_MIN_SIDE, new_dat_light
from sr_ptq_bench.backbones.swinir import open_sites
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.runs.count import count
from sr_ptq_bench.tracing.open_network import open_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from sr_ptq_bench import SRModel
    from sr_ptq_bench.records.complexity import Complexity


@pytest.mark.parametrize(
    ("name", "scale", "counter"),
    [("x2", 2, count), ("x3", 3, count), ("x4", 4, count), ("x4, as 2DQuant counts", 4, count_as_2dquant)],
)
def test_the_counts_of_swinir_light(name: str, scale: int, counter: Callable[[Student], Complexity]) -> None:
    assert_counts(name, open_sites(swinir((6,) * 4, 60, 6, scale), "swinir-light", scale), counter)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_counts_of_dat_light(scale: int) -> None:
    """Those of the committed tables."""
    model = open_network(new_dat_light(scale), "dat-light", scale, min_side=DAT_MIN_SIDE, scope="linear")
    table = (ROOT / f"leaderboards/sample/dat-light-x{scale}.md").read_text(encoding="utf-8")
    for bits in (4, 3, 2):
        of = count(quantize(model, Bits.parse(str(bits))))
        (row,) = re.findall(rf"^\| minmax +\| +{bits}/{bits} .*$", table.partition("\n## ")[0], re.MULTILINE)
        assert [cell.strip() for cell in row.split("|")[5:7]] == [f"{of.compression:.2f}", f"{of.speedup:.2f}"]
        assert f" {sum(of.macs.values()) / of.lr_pixels:,.0f} multiply-accumulates per LR pixel" in table


def assert_counts(name: str, teacher: SRModel, counter: Callable[[Student], Complexity]) -> None:
    """The line of the table on efficiency."""
    page = (ROOT / "docs/efficiency.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.splitlines() if re.match(rf"\| {name} +\|", line))
    counts = {bits: counter(quantize(teacher, Bits.parse(str(bits)))) for bits in (4, 3, 2)}
    of = counts[4]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == [
        f"{sum(of.parameters.values()):,}",
        f"{of.parameters[4]:,}",
        f"{sum(of.macs.values()) / of.lr_pixels:,.0f}",
        f"{of.macs[4] / of.lr_pixels:,.0f}",
        " ".join(f"{each.compression:.2f}" for each in counts.values()),
        " ".join(f"{each.speedup:.2f}" for each in counts.values()),
    ]
