"""Pairs of small images, in folders and in LMDBs."""

from __future__ import annotations

import pytest
from tiny import write_images

from sr_ptq_bench.data.lmdb import write_lmdb
from sr_ptq_bench.data.make_lr import write_lr
from sr_ptq_bench.protocol.suite import DataSource


@pytest.fixture
def pair(tmp_path):
    """An HR folder with sizes that are no multiples of 2, and its LR folder."""
    hr = write_images(tmp_path / "HR", a=(13, 16), b=(20, 11), c=(8, 8))
    write_lr(hr, tmp_path / "LR" / "X2", 2)
    return DataSource(hr=hr, lr=str(tmp_path / "LR" / "X{scale}"))


@pytest.fixture
def stores(pair, tmp_path):
    """The same as LMDBs."""
    write_lmdb(pair.hr, tmp_path / "HR.lmdb")
    write_lmdb(tmp_path / "LR" / "X2", tmp_path / "LRx2.lmdb")
    return DataSource(hr=tmp_path / "HR.lmdb", lr=str(tmp_path / "LRx{scale}.lmdb"))
