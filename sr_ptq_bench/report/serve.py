"""A site shown on this machine while records come in: a web server, and a loop that makes the site again."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from ..errors import SrqError
from ..records.files import SENSITIVITY
from ..tables.published_scores import FILE as PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ..progress import Say

EVERY = 2.0
"""Seconds between two looks at the records."""
HOST = "127.0.0.1"
Snapshot = dict[str, tuple[int, int]]


class _Handler(SimpleHTTPRequestHandler):
    """Files of the site, which browsers ask for again each time."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: a browser asks every few seconds."""


class _Server(ThreadingHTTPServer):
    """Says nothing of browsers that leave in the middle of an answer, as they do when they load a page again."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def server(folder: Path, port: int) -> Iterator[str]:
    """Serve a folder to this machine alone, at the address that is given; raises SrqError if the port is taken."""
    try:
        made = _Server((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise SrqError(f"cannot serve on port {port}: {error.strerror or error}; choose another --port") from error
    with made:
        Thread(target=made.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{made.server_address[1]}/"
        finally:
            made.shutdown()


def watch(results: Path, seen: Snapshot, rebuild: Callable[[], object], say: Say, rounds: int | None = None) -> None:
    """Call `rebuild` whenever a file of `results` is not as it was `seen`; without `rounds` for ever.

    An SrqError of `rebuild`, such as for a record that is damaged, is told to `say`; the site stays as it was.
    """
    while rounds is None or rounds > 0:
        time.sleep(EVERY)
        rounds = None if rounds is None else rounds - 1
        now = snapshot(results)
        if now != seen:
            seen = now
            try:
                rebuild()
            except SrqError as error:
                say(str(error))


def snapshot(results: Path) -> Snapshot:
    """Size and time of every file that may be a record or its sensitivity, and of the published scores."""
    found = {}
    for path in (*results.glob("*/*.json"), *results.glob(f"*/*{SENSITIVITY}"), results.parent / PUBLISHED):
        try:
            stat = path.stat()
        except OSError:  # replaced or removed meanwhile
            continue
        found[str(path)] = stat.st_size, stat.st_mtime_ns
    return found
