"""The sweeps that make the committed tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.records.resolved import ResolvedSpec
from sr_ptq_bench.sweep.grid import SweepFile, unfold
from sr_ptq_bench.sweep.plan import with_own_options

BOARDS = Path(__file__).parents[2] / "leaderboards"


@pytest.mark.parametrize("suite", ["sample", "set5-set14"])
def test_a_sweep_makes_every_committed_record(suite):
    plugins = Plugins()
    cells = with_own_options(unfold(SweepFile.load(BOARDS / f"{suite}.toml").grids()), plugins)
    planned = set()
    for cell in cells:
        run = cell.spec()
        method = resolve_method(plugins, run.method, run.options, run.suite.options)
        planned |= {
            ResolvedSpec.of(run, method.components, method.option_values, scope).model_dump_json()
            for scope in ("linear", "all")
        }
    committed = {path.name: read_record(path).spec for path in (BOARDS / "results" / suite).glob("*.json")}
    assert len(committed) > 50
    assert [name for name, spec in committed.items() if spec.model_dump_json() not in planned] == []
