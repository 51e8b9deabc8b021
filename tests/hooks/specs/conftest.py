"""A plugin that notes what every hook gets."""

from __future__ import annotations

import pytest
from spied import spy
from tiny import TinySuite, run


@pytest.fixture(scope="module")
def spied(tmp_path_factory):
    """The tiny suite, and all calls of a whole run of `spy` on it at w3a5, with one option."""
    suite, calls = TinySuite.write(tmp_path_factory.mktemp("tiny")), []
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SRQ_HOME", str(suite.folder / "home"))
        run(suite, spy(calls), method="spy", bits="w3a5", strength="7")
    return suite, calls


@pytest.fixture
def log(spied):
    return spied[1]
