"""The one exception that a user sees as a line of text, and the wording of misspelt names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


LONGEST = 1000
DEBUG = "SRQ_DEBUG"
"""With this environment variable the traceback of every error is printed before its line."""


class SrqError(Exception):
    """An expected failure: `srq` prints it as one line on stderr and exits with status 2.

    Whatever a file, a name or a plugin puts into it, the message is one line of printable characters, at most LONGEST.
    """

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
        half = LONGEST // 2
        super().__init__(
            line if len(line) <= LONGEST else f"{line[: half - 3].rstrip()} ... {line[-half + 2 :].lstrip()}"
        )


class PluginError(SrqError):
    """An exception of any kind that came out of a plugin's hook, which is its `__cause__`."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> SrqError:
    """Name the unknown value and the nearest allowed one, or all of them where none is near.

    >>> print(unknown("method", "minmx", ["minmax", "dobi"]))
    no method 'minmx'; did you mean 'minmax'?
    """
    names = sorted(allowed)
    lower = {allowed.lower(): allowed for allowed in names}
    near = get_close_matches(name.lower(), lower, n=1)
    hint = f"did you mean '{lower[near[0]]}'?" if near else f"there is: {', '.join(names) or 'none'}"
    return SrqError(f"no {kind} '{name}'; {hint}")
