"""Downloads that break off go on where they stopped."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import error_of
from served import CONTENT, OTHER, URL, ignore, names
from webserver import Answer

from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.library.fetch import Downloads


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
