"""Downloads from a server that truncates, corrupts, redirects and stalls."""

from __future__ import annotations

import hashlib
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import error_of
from webserver import Answer

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.library import fetch
from sr_ptq_bench.library.fetch import Downloads

CONTENT = bytes(range(256)) * 40
OTHER = CONTENT[::-1]
URL = "/release/file.bin"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ignore(_done: int, _total: int, _note: str = "") -> None:
    """Progress that nobody sees."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that the few bytes of a test arrive in several pieces; only whole ones survive a cut."""
    monkeypatch.setattr(fetch, "_CHUNK", 512)


@pytest.fixture
def downloads(tmp_path):
    return Downloads(tmp_path / "downloads", stall=0.3)


def names(downloads: Downloads) -> list[str]:
    return sorted(path.name for path in downloads.folder.iterdir() if path.name != ".lock")


def test_a_file_is_fetched_once(web, downloads):
    url = web.serve(URL, CONTENT)
    for _ in range(2):
        path = downloads.fetch(url, sha256(CONTENT), ignore)
        assert path == downloads.folder / "file.bin"
        assert path.read_bytes() == CONTENT
    assert web.requests == [(URL, None)]
    assert names(downloads) == ["file.bin"]


def test_progress_is_told_in_bytes(web, downloads):
    told = []
    downloads.fetch(web.serve(URL, CONTENT), None, lambda done, total, note="": told.append((done, total, note)))
    assert told[0] == (512, len(CONTENT), "0.0 of 0.0 MB")
    assert told[-1][:2] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


def test_without_a_published_checksum_the_first_one_counts(web, downloads):
    url = web.serve(URL, CONTENT)
    assert downloads.recorded("file.bin") is None
    downloads.fetch(url, None, ignore)
    assert downloads.recorded("file.bin") == sha256(CONTENT)
    assert names(downloads) == ["file.bin", "sha256.json"]
    (downloads.folder / "file.bin").unlink()
    web.serve(URL, OTHER)
    message = error_of(downloads.fetch, url, None, ignore)
    assert all(text in message for text in ("file.bin", url, sha256(CONTENT), sha256(OTHER)))
    assert names(downloads) == ["sha256.json"]


def test_each_file_has_a_checksum_of_its_own(web, downloads):
    for name, content in (("/a", CONTENT), ("/b", OTHER)):
        downloads.fetch(web.serve(name, content), None, ignore)
    assert [downloads.recorded(name) for name in "ab"] == [sha256(CONTENT), sha256(OTHER)]


def test_a_wrong_checksum_is_named_and_the_file_not_kept(web, downloads):
    url = web.serve(URL, OTHER)
    message = error_of(downloads.fetch, url, sha256(CONTENT), ignore)
    assert all(text in message for text in ("file.bin", url, sha256(CONTENT), sha256(OTHER)))
    assert names(downloads) == []
    web.serve(URL, CONTENT)
    assert downloads.fetch(url, sha256(CONTENT), ignore).read_bytes() == CONTENT


@pytest.mark.parametrize("published", [True, False])
def test_a_file_that_was_damaged_on_disk_is_fetched_again(web, downloads, published):
    url = web.serve(URL, CONTENT)
    known = sha256(CONTENT) if published else None
    path = downloads.fetch(url, known, ignore)
    path.write_bytes(CONTENT[:-1])
    assert downloads.fetch(url, known, ignore).read_bytes() == CONTENT
    assert len(web.requests) == 2


# Connections that break off


def test_a_truncated_download_goes_on_where_it_stopped(web, downloads):
    web.answers = [Answer(cut=3072), Answer(cut=2048), Answer()]
    path = downloads.fetch(web.serve(URL, CONTENT), None, ignore)
    assert path.read_bytes() == CONTENT
    assert web.requests == [(URL, None), (URL, "bytes=3072-"), (URL, "bytes=5120-")]
    assert names(downloads) == ["file.bin", "sha256.json"]


def test_a_stalled_download_goes_on_where_it_stopped(web, downloads):
    web.answers = [Answer(stall=3072), Answer()]
    assert downloads.fetch(web.serve(URL, CONTENT), None, ignore).read_bytes() == CONTENT
    assert web.requests == [(URL, None), (URL, "bytes=3072-")]


def test_a_later_call_goes_on_where_an_earlier_one_stopped(web, downloads):
    web.answers = [Answer(cut=3072), Answer(cut=0)]
    url = web.serve(URL, CONTENT)
    message = error_of(downloads.fetch, url, None, ignore)
    assert message == f"cannot fetch file.bin from {url}: the connection broke off"
    assert names(downloads) == ["file.bin.part", "file.bin.version"]
    web.requests.clear()
    assert Downloads(downloads.folder).fetch(url, None, ignore).read_bytes() == CONTENT
    assert web.requests == [(URL, "bytes=3072-")]
    assert names(downloads) == ["file.bin", "sha256.json"]


def test_an_interrupted_download_goes_on_where_it_stopped(web, downloads):
    def interrupt(done, _total, _note=""):
        if done >= 4000:
            raise KeyboardInterrupt

    url = web.serve(URL, CONTENT)
    with pytest.raises(KeyboardInterrupt):
        downloads.fetch(url, None, interrupt)
    assert not (downloads.folder / "file.bin").exists()
    assert downloads.fetch(url, None, ignore).read_bytes() == CONTENT
    assert web.requests[1:] == [(URL, "bytes=4096-")]


def test_a_server_that_stalls_at_once_is_given_up(web, downloads):
    web.answers = [Answer(stall=0)]
    url = web.serve(URL, CONTENT)
    assert error_of(downloads.fetch, url, None, ignore) == (
        f"cannot fetch file.bin from {url}: nothing has arrived for 0.3 seconds"
    )
    assert len(web.requests) == 1


def test_a_new_version_is_fetched_from_the_start(web, downloads):
    web.answers = [Answer(cut=3072), Answer(cut=0)]
    url = web.serve(URL, CONTENT)
    error_of(downloads.fetch, url, None, ignore)
    web.serve(URL, OTHER)
    web.headers = {"ETag": '"2"'}
    assert downloads.fetch(url, None, ignore).read_bytes() == OTHER


@pytest.mark.parametrize(
    ("headers", "resumed"),
    [
        ({"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, True),
        ({"ETag": 'W/"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, True),
        ({"ETag": 'W/"1"'}, False),
        ({}, False),
    ],
)
def test_only_a_known_version_is_resumed(web, downloads, headers, resumed):
    web.headers = headers
    web.answers = [Answer(cut=3072), Answer()]
    assert downloads.fetch(web.serve(URL, CONTENT), None, ignore).read_bytes() == CONTENT
    assert web.requests[1] == (URL, "bytes=3072-" if resumed else None)


def test_a_server_without_ranges_sends_all_again(web, downloads):
    web.answers = [Answer(cut=3072), Answer(ranges=False)]
    assert downloads.fetch(web.serve(URL, CONTENT), None, ignore).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_or_too_long_is_fetched_again(web, downloads):
    url = web.serve(URL, CONTENT)
    downloads.folder.mkdir()
    for size in (len(CONTENT), len(CONTENT) + 5):
        (downloads.folder / "file.bin.part").write_bytes(bytes(size))
        (downloads.folder / "file.bin.version").write_text('"1"')
        assert downloads.fetch(url, None, ignore).read_bytes() == CONTENT
        (downloads.folder / "file.bin").unlink()


def test_another_part_than_the_one_asked_for_is_refused(web, downloads):
    web.answers = [Answer(cut=3072), Answer(shift=7)]
    message = error_of(downloads.fetch, web.serve(URL, CONTENT), None, ignore)
    assert message.endswith("the server sent bytes from 3079, asked from 3072")
    assert not (downloads.folder / "file.bin").exists()


def test_a_length_that_is_not_told(web, downloads):
    web.answers = [Answer(length=False)]
    assert downloads.fetch(web.serve(URL, CONTENT), None, ignore).read_bytes() == CONTENT


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(cuts=st.lists(st.integers(1, 4000), max_size=4), ranges=st.booleans(), tag=st.booleans())
def test_however_it_breaks_off_the_file_is_whole_or_not_there(web, tmp_path_factory, cuts, ranges, tag):
    web.headers = {"ETag": '"1"'} if tag else {}
    web.answers = [Answer(cut=cut, ranges=ranges) for cut in cuts]
    downloads = Downloads(tmp_path_factory.mktemp("any"), stall=5)
    url = web.serve(URL, CONTENT)
    try:
        assert downloads.fetch(url, None, ignore).read_bytes() == CONTENT
    except SrqError:
        assert not (downloads.folder / "file.bin").exists()
        web.answers = []
        assert downloads.fetch(url, None, ignore).read_bytes() == CONTENT


# Answers that are no file


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


# The folder


def test_a_folder_that_cannot_be_made_is_named(web, tmp_path):
    (tmp_path / "file").touch()
    message = error_of(Downloads(tmp_path / "file").fetch, web.serve(URL, CONTENT), None, ignore)
    assert message.startswith(f"cannot keep file.bin in {tmp_path / 'file'}: ")


@pytest.mark.parametrize("content", ["{", "[1]", "\udcff"])
def test_damaged_records_are_named(web, downloads, content):
    downloads.folder.mkdir()
    (downloads.folder / "sha256.json").write_bytes(content.encode(errors="surrogateescape"))
    message = error_of(downloads.fetch, web.serve(URL, CONTENT), None, ignore)
    assert f"{downloads.folder / 'sha256.json'} is damaged" in message


def test_a_user_s_file_is_kept_and_recorded(downloads, tmp_path):
    (tmp_path / "mine").write_bytes(CONTENT)
    assert downloads.keep(tmp_path / "mine", "file.bin", None).read_bytes() == CONTENT
    assert downloads.recorded("file.bin") == sha256(CONTENT)
    (tmp_path / "mine").write_bytes(OTHER)
    message = error_of(downloads.keep, tmp_path / "mine", "file.bin", None)
    assert message == f"{tmp_path / 'mine'} is not file.bin: its sha256 is {sha256(OTHER)}, expected {sha256(CONTENT)}"
    assert (downloads.folder / "file.bin").read_bytes() == CONTENT


def test_a_user_s_file_has_the_published_checksum(downloads, tmp_path):
    (tmp_path / "mine").write_bytes(OTHER)
    assert "is not file.bin" in error_of(downloads.keep, tmp_path / "mine", "file.bin", sha256(CONTENT))
    assert not downloads.folder.exists()
    downloads.keep(tmp_path / "mine", "file.bin", sha256(OTHER))
    assert names(downloads) == ["file.bin"]
