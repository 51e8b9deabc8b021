"""What all runs of a process share."""

from __future__ import annotations

import pytest
from tiny import FILE, Heard

from sr_ptq_bench import SrqError
from sr_ptq_bench.progress import SILENT
from sr_ptq_bench.runs.session import Session


def test_the_home_is_the_environment_s(own_home):
    session = Session.open(SILENT)
    assert session.library.downloads == own_home / "downloads"
    assert session.cache.records == own_home / "cache" / "records"


def test_another_home_is_that_of_cache_and_library(tmp_path):
    session = Session.open(SILENT, home=tmp_path / "other")
    assert session.library.downloads == tmp_path / "other" / "downloads"
    assert session.cache.records == tmp_path / "other" / "cache" / "records"


def test_plugins_are_those_installed_and_those_given():
    assert "tiny" not in Session.open(SILENT).plugins.plugins
    assert {"tiny", "minmax"} <= Session.open(SILENT, [FILE]).plugins.plugins.keys()


def test_cache_and_library_speak_through_the_reporter(tmp_path):
    heard = Heard()
    session = Session.open(heard, home=tmp_path)
    assert session.reporter is heard
    assert session.library.reporter is heard
    (tmp_path / "locks").write_text("a file")
    with session.cache.locked("any", "does the same"):
        pass
    assert heard.lines == [
        f"cannot lock in {tmp_path / 'locks'}: File exists; going on without keeping results for other runs"
    ]


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(SrqError, match="tpu"):
        Session.open(SILENT, device="tpu")
