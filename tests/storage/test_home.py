"""Where srq keeps what it computes and fetches."""

from __future__ import annotations

from platformdirs import user_cache_path

from sr_ptq_bench.storage.home import default_home


def test_home_is_what_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("SRQ_HOME", str(tmp_path))
    assert default_home() == tmp_path
    for unset in ("", None):
        monkeypatch.setenv("SRQ_HOME", unset) if unset is not None else monkeypatch.delenv("SRQ_HOME")
        assert default_home() == user_cache_path("srq")
