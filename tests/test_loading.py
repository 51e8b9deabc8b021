"""What a command loads, asked of a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SLOW = (
    "torch",
    "basicsr",
    "pandas",
    "cv2",
    "pydantic",
    "numpy",
    "lmdb",
    "PIL",
    "safetensors",
    "skimage",
    "pooch",
    "requests",
    "matplotlib",
    "jinja2",
    "itables",
)


LOADED = f"""
import contextlib, io, json, os, sys
from sr_ptq_bench.cli import main

for words in json.loads(sys.argv[1]):
    if os.fork():
        os.wait()
        continue
    sys.argv = ["srq", *words]
    status = 0
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    print(json.dumps([status, sorted(set({SLOW}) & set(sys.modules)), said.getvalue()]), flush=True)
    os._exit(0)
"""
"""A fresh process that makes each call of `srq` in a fork of itself, so that none sees what another has loaded."""


def loaded_by(*calls: str) -> dict[str, tuple[int, set[str], str]]:
    """For each call: its exit status, the slow libraries that it loads, and what it prints."""
    words = json.dumps([call.split() for call in calls])
    done = subprocess.run([sys.executable, "-c", LOADED, words], stdout=subprocess.PIPE, text=True, check=True)
    found = map(json.loads, done.stdout.splitlines())
    return {call: (status, set(modules), text) for call, (status, modules, text) in zip(calls, found, strict=True)}


COMMANDS = [
    "",
    "run",
    "upscale",
    "sweep",
    "ablate",
    "table",
    "plot",
    "plot psnr",
    "plot pareto",
    "plot loss",
    "plot distributions",
    "plot bounds",
    "plot crops",
    "plot errors",
    "report",
    "analyze",
    "methods",
    "new-method",
    "data",
    "data get",
    "data import",
    "data lmdb",
    "data lr",
    "verify",
    "doctor",
    "cache",
    "cache prune",
]
USAGE_ERRORS = [
    "run --methd minmax",
    "run --method minmax --bits 4",
    "run --method minmax --bits 4 --scale two",
    "sweep --methods minmax --gpus 1",
    "sweep --workers 0",
    "run --method minmax --bits 4 --scale 2 --seed -1",
    "ablate",
    "ablate lrs",
    "rnu",
    "table --chek",
    "data lmdb",
    "plot",
    "plot psnr",
    "plot crops --method minmax --bits 4 --scale 2",
    "analyze --method minmax --bits 4",
    "",
]
IMPOSSIBLE_VALUES = [
    "run --method minmax --bits 9 --scale 2",
    "run --method minmax --bits 4 --scale 5",
    "run --method minmax --bits 4 --scale 2 --suite sampel",
    "run --method minmax --bits 4 --scale 2 -o lr",
    "ablate lr --bits 9",
    "ablate lr --suite sampel",
    "sweep --methods minmax --bits 9 --scales 2",
    "sweep --methods minmax --bits 4 --scales 2,5",
    "sweep --methods minmax --bits 4 --scales 2 --suite sampel",
    "sweep no.toml",
]


def test_help_loads_nothing_slow():
    loaded = loaded_by(*(f"{command} --help" for command in COMMANDS))
    assert {call: found for call, (*found, _) in loaded.items() if found != [0, set()]} == {}
    for command, (_, _, text) in zip(COMMANDS, loaded.values(), strict=True):
        assert f"Usage: srq{' ' * bool(command)}{command} [OPTIONS]" in text


def test_a_usage_error_loads_nothing_slow():
    loaded = loaded_by(*USAGE_ERRORS)
    assert {call: found for call, (*found, _) in loaded.items() if found != [2, set()]} == {}


def test_an_impossible_value_loads_neither_torch_nor_basicsr():
    for call, (status, modules, text) in loaded_by(*IMPOSSIBLE_VALUES).items():
        assert (call, status, modules - {"pydantic"}) == (call, 2, set()), text
        assert "srq: " in text, call


def test_tables_are_made_without_torch():
    leaderboards = Path(__file__).parents[1] / "leaderboards"
    ((status, modules, text),) = loaded_by(f"table --format csv --out {leaderboards}").values()
    assert status == 0, text
    assert modules & {"torch", "basicsr", "cv2", "lmdb"} == set()


def test_the_public_names_load_when_they_are_used():
    code = "import sys, sr_ptq_bench; assert 'torch' not in sys.modules; sr_ptq_bench.SrqError; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "pydantic", "pluggy"}.isdisjoint(done.stdout.split())
