"""Writing the figure of a command to the file that the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...loudness import note

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure


def picture_writer(out: Path) -> Callable[[Figure], None]:
    """What writes a figure to `out`; raises SrqError at once if matplotlib is missing or the suffix is unknown."""
    from ....plots.canvas import check_suffix, save

    check_suffix(out)

    def write(figure: Figure) -> None:
        save(figure, out)
        note(f"wrote {out}")

    return write
