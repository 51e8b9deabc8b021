"""A web server in this process that misbehaves as it is told: it truncates, corrupts, redirects, stalls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass
class Answer:
    """How to answer one request: by default honestly, with ranges where the client's version is the server's."""

    status: int | None = None
    location: str = ""
    cut: int | None = None
    """Break the connection off after so many bytes of the body."""
    stall: int | None = None
    """Send nothing more after so many bytes of the body."""
    ranges: bool = True
    shift: int = 0
    """Send a part that begins so many bytes after the one asked for."""
    length: bool = True


@dataclass
class Web:
    """What is served, by path; how the next requests are answered; and which requests came."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path, and the range asked for."""
    over: Event = field(default_factory=Event)

    def serve(self, path: str, content: bytes) -> str:
        """Serve these bytes; the URL."""
        self.files[path] = content
        return self.url + path


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        web, answer = self.web, self.web.answers.pop(0) if self.web.answers else Answer()
        asked = self.headers["Range"]
        web.requests.append((self.path, asked))
        if answer.status is not None:
            self._head(answer.status, {"Location": answer.location, "Content-Length": "0"})
            return
        if self.path not in web.files:
            self.send_error(404)
            return
        content, start = web.files[self.path], 0
        versions = (web.headers.get("ETag"), web.headers.get("Last-Modified"))
        if asked and answer.ranges and self.headers["If-Range"] in versions:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) + answer.shift
        body = content[start:]
        headers = dict(web.headers) | ({"Content-Length": str(len(body))} if answer.length else {})
        if start >= len(content) > 0:
            self._head(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if start else 200, headers)
        sent = min(of for of in (answer.cut, answer.stall, len(body)) if of is not None)
        self.wfile.write(body[:sent])
        self.wfile.flush()
        if answer.stall is not None:
            web.over.wait(30)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def running() -> Iterator[Web]:
    """A server on a port of its own, as long as the block lasts."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.web = web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        web.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
