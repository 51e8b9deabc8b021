"""What `srq` does when the terminal, the system or srq itself fails."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import click

from ..errors import DEBUG, SrqError

_STDOUT = 1
"""The number of the file that every process prints to."""


def prepare_streams() -> None:
    """Let a terminal or a locale show another character for one that it does not have; replace streams that are closed.

    Without a stream (`>&-`, as services are started) the next file would take its number, and what libraries print
    would go into it. What libraries and child processes print to file 1 themselves goes to stderr: stdout is for
    results of srq.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - takes the lowest free number
            os.set_inheritable(null.fileno(), True)
            setattr(sys, name, null)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):  # a stream that a caller has replaced
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    with suppress(AttributeError, ValueError, OSError):
        if sys.stdout.fileno() == _STDOUT:
            results = os.dup(_STDOUT)
            os.dup2(sys.stderr.fileno(), _STDOUT)
            sys.stdout = open(results, "w", encoding=sys.stdout.encoding, errors="replace")  # noqa: PTH123, SIM115


def close_stdout() -> None:
    """Forget what could not be written, so that Python does not try again when it ends."""
    _forget(sys.stdout)


def last_words(line: str) -> None:
    """Tell on stderr why srq ends; where it is full or gone too, the exit status alone tells."""
    try:
        click.echo(line, err=True)
    except (OSError, ValueError):
        _forget(sys.stderr)


def _forget(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def describe_os_error(error: OSError) -> str:
    """What the system refused, in one line."""
    name = "" if error.filename is None else f" {error.filename}"
    try:
        Path.cwd()
    except OSError:
        return "the working folder does not exist any more; change into another folder"
    return f"the system refuses{name or ' to write to the terminal or a file'}: {error.strerror or error}"


def report_failure(error: SrqError) -> None:
    """Print an expected failure after which the command goes on."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    click.echo(f"srq: {error}", err=True)


def report_defect(error: Exception) -> str:
    """Write the traceback to a log file; one line that names the file and says what to do."""
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    lines = [
        f"command: {shlex.join(['srq', *sys.argv[1:]])}",
        f"srq {version('sr_ptq_bench')}, Python {platform.python_version()}, {platform.platform()}",
        "".join(traceback.format_exception(error)),
    ]
    try:
        path = _log_file()
        path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    except OSError:
        return f"srq: a defect of srq: {what}; {DEBUG}=1 shows the traceback; please report it with the command"
    return f"srq: a defect of srq: {what}; please report it with the file {path}, which holds command and traceback"


def _log_file() -> Path:
    from ..storage.home import default_home

    folder = default_home() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
