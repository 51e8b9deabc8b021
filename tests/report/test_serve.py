"""The site is served to its own machine, and made again while it is shown."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
from made_records import record
from refusals import error_of

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("matplotlib")

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.records.files import write_record
from sr_ptq_bench.report import serve
from sr_ptq_bench.report.site import build


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_record(record(), tmp_path / "sample")
    return tmp_path


def read(address: str) -> tuple[str, str]:
    with build_opener(ProxyHandler({})).open(address, timeout=5) as answer:
        return answer.read().decode(), answer.headers["Cache-Control"]


def test_a_folder_is_served_to_this_machine_alone(tmp_path):
    (tmp_path / "index.html").write_text("here")
    with serve.server(tmp_path, 0) as address:
        assert address.startswith("http://127.0.0.1:")
        assert read(address) == ("here", "no-cache")
        port = int(address.rstrip("/").rpartition(":")[2])
        assert "choose another --port" in error_of(serve.server(tmp_path, port).__enter__)


def test_a_new_record_makes_the_site_again(monkeypatch, results):
    monkeypatch.setattr(serve, "EVERY", 0.0)
    calls: list[int] = []

    def rebuild() -> None:
        calls.append(len(serve.snapshot(results)))

    seen = serve.snapshot(results)
    serve.watch(results, seen, rebuild, pytest.fail, rounds=3)
    assert calls == []
    rounds = iter((lambda: None, lambda: write_record(record("dobi"), results / "sample"), lambda: None))
    monkeypatch.setattr(serve.time, "sleep", lambda _: next(rounds)())
    serve.watch(results, seen, rebuild, pytest.fail, rounds=3)
    assert calls == [2]


def test_a_record_that_came_while_the_first_site_was_made_makes_it_again(monkeypatch, results):
    monkeypatch.setattr(serve, "EVERY", 0.0)
    before = serve.snapshot(results)
    write_record(record("dobi"), results / "sample")
    calls: list[str] = []
    serve.watch(results, before, lambda: calls.append("again"), pytest.fail, rounds=2)
    assert calls == ["again"]


@pytest.mark.parametrize("name", ["sample/x.sensitivity", "../published.csv"])
def test_all_that_a_page_shows_is_watched(results, name):
    before = serve.snapshot(results / "results")
    (results / "results" / "sample").mkdir(parents=True)
    (results / "results" / name).write_text("new")
    assert serve.snapshot(results / "results") != before


def test_records_that_do_not_compare_leave_the_site_as_it_was(monkeypatch, results):
    said: list[str] = []

    def rebuild() -> None:
        raise SrqError("no table of both")

    monkeypatch.setattr(serve.time, "sleep", lambda _: write_record(record("dobi"), results / "sample"))
    serve.watch(results, serve.snapshot(results), rebuild, said.append, rounds=1)
    assert said == ["no table of both"]


def test_a_shown_site_has_a_version_that_changes_with_it():
    one, other = (build([record(psnr=psnr)], [], "srq report", live=True) for psnr in (30.0, 31.0))
    assert one["version.txt"] != other["version.txt"]
    assert all(f'data-version="{one["version.txt"]}"' in text for name, text in one.items() if name.endswith(".html"))
    assert 'content="version.txt"' in one["index.html"]
    assert 'content="../version.txt"' in one["sample/swinir-light-x2.html"]


def test_a_browser_that_leaves_is_no_error(tmp_path, capfd):
    (tmp_path / "large.js").write_bytes(bytes(2**23))
    with serve.server(tmp_path, 0) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leave with a reset
            client.sendall(b"GET /large.js HTTP/1.0\r\n\r\n")
            client.recv(1000)
        (tmp_path / "index.html").write_text("here")
        assert read(address) == ("here", "no-cache")
    assert capfd.readouterr().err == ""
