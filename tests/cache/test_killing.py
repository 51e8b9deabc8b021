"""A run that SIGKILL ends at any moment is continued by the next call, to the record of a run that was left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "killing.py"


def outcomes(folder: Path, where: str, method: str) -> list[dict]:
    done = subprocess.run([sys.executable, SCRIPT, folder, where, method], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("where", "method", "least"),
    [
        ("writes", "2dquant", 13),
        ("writes", "minmax+everything", 13),
        ("anywhere", "2dquant", 4),
        ("anywhere", "dbdc+pac", 4),
    ],
)
def test_a_killed_run_continues_to_the_same_record_and_state(tmp_path, where, method, least):
    found = outcomes(tmp_path, where, method)
    assert [each["equal"] for each in found] == [True] * len(found)
    assert [each["left"] for each in found] == [[]] * len(found)
    stages = [stage for each in found for stage in each["killed"]]
    assert len(stages) >= least
    assert "calibrate" in stages
    assert len(set(stages)) >= 3
