"""Answers that are no file: redirects, errors, no server."""

from __future__ import annotations

import socket

import pytest
from refusals import error_of
from served import CONTENT, URL, ignore, names
from webserver import Answer

from sr_ptq_bench.library import fetch


def test_redirects_are_followed(web, downloads):
    web.serve("/elsewhere/blob", CONTENT)
    web.answers = [Answer(status=302, location="/again"), Answer(status=301, location="/elsewhere/blob")]
    path = downloads.fetch(web.url + URL, None, ignore)
    assert path.name == "file.bin"
    assert path.read_bytes() == CONTENT


def test_redirects_without_end_are_refused(web, downloads):
    web.answers = [Answer(status=302, location=URL)] * 40
    assert error_of(downloads.fetch, web.url + URL, None, ignore).endswith("Exceeded 30 redirects.")


def test_encryption_is_not_given_up():
    with pytest.raises(Exception, match="it leads to http://x/y, which is not encrypted"):
        fetch._check_redirect("https://x/y", "http://x/y")
    fetch._check_redirect("https://x/y", "https://z")
    fetch._check_redirect("http://x/y", "http://z")


@pytest.mark.parametrize(("status", "said"), [(404, "404 Not Found"), (403, "403 Forbidden"), (503, "503 Service")])
def test_an_error_of_the_server_is_named(web, downloads, status, said):
    web.answers = [Answer(status=status)]
    message = error_of(downloads.fetch, web.serve(URL, CONTENT), None, ignore)
    assert f"cannot fetch file.bin from {web.url}{URL}: the server says {said}" in message
    assert names(downloads) == []


def test_no_server(downloads):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/file.bin"
        assert error_of(downloads.fetch, url, None, ignore) == f"cannot fetch file.bin from {url}: no connection"


def test_a_scheme_that_is_not_of_the_web(downloads, tmp_path):
    (tmp_path / "secret").write_text("secret")
    assert "No connection adapters" in error_of(downloads.fetch, f"file://{tmp_path}/secret", None, ignore)
