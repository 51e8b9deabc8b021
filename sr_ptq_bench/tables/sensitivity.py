"""The ranking of sites as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..records.sensitivity import By, Sensitivities
from ..tables import cells
from ..tables.formats import Column, Page, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping


def page(found: Sensitivities, title: str, by: By, notes: Mapping[str, str]) -> Page:
    """The ranking as a table; `notes` say what was measured, and on what."""
    gains = [group.without - found.all_quantized for group in found.groups]
    rows = [
        [
            str(rank), group.name, group.role, str(group.sites), cells.number(group.only, "psnr"),
            cells.number(group.without, "psnr"), cells.number(gain, "psnr", "+"),
        ]
        for rank, (group, gain) in enumerate(zip(found.groups, gains, strict=True), 1)
    ]  # fmt: skip
    head = [Column("Rank", "right"), Column(by.capitalize()), Column("Role"), Column("Sites", "right")]
    scores = [Column(name, "right") for name in ("Only this (dB)", "All but this (dB)", "Gain over all (dB)")]
    lines = [
        {
            "rank": rank, by: group.name, "role": group.role, "sites": group.sites, "psnr_only": group.only,
            "psnr_without": group.without, "psnr_all": found.all_quantized,
        }
        for rank, group in enumerate(found.groups, 1)
    ]  # fmt: skip
    said = [f"Everything quantized: {cells.number(found.all_quantized, 'psnr')} dB.", f"All columns: {found.unit}."]
    return Page(
        "Made by `srq analyze`", title, [Sheet([*head, *scores], rows)],
        [*said, *(f"{key}: {value}." for key, value in notes.items())], lines,
    )  # fmt: skip
