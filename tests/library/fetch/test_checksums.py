"""A file is fetched once and kept by its checksum."""

from __future__ import annotations

import pytest
from refusals import error_of
from served import CONTENT, OTHER, URL, ignore, names, sha256

from sr_ptq_bench.library.fetch import Downloads


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
