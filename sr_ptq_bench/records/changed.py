"""Which records changed since a commit, by git."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from ..errors import SrqError

if TYPE_CHECKING:
    from pathlib import Path

STATE = re.compile(r"\.[0-9a-f]{12}\.safetensors$")
DIFF = ("diff", "--name-only", "--no-renames", "--relative", "-z", "--merge-base")
NEW = ("ls-files", "--others", "-z")


def changed_records(folder: Path, since: str) -> set[Path]:
    """Resolved paths of the records in `folder` that are new or changed since the commit `since`, or whose state is.

    Compared are the files as they are now and the last common commit of `since` and HEAD, so that commits which only
    `since` has do not count. Raises SrqError if git says no.
    """
    if since.startswith("-"):
        raise SrqError(f"'{since}' is no commit")
    _git(folder, "rev-parse", "--git-dir")  # without a repository, `git diff` would only print its usage
    names = _git(folder, *DIFF, since, "--", ".") + _git(folder, *NEW, "--", ".")
    return {(folder / STATE.sub(".json", name)).resolve() for name in names}


def _git(folder: Path, *arguments: str) -> list[str]:
    """The paths that a command of git prints, relative to `folder`."""
    if not folder.is_dir():
        raise SrqError(f"no folder {folder}")
    try:  # a name of any bytes
        done = subprocess.run(
            ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, errors="surrogateescape"
        )
    except FileNotFoundError as error:
        raise SrqError("git is not installed") from error
    except subprocess.CalledProcessError as error:
        raise SrqError(f"git in {folder}: {error.stderr.strip()}") from error
    return [name for name in done.stdout.split("\0") if name]
