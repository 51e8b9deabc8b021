"""`sr_ptq_bench.measure`: the words of `srq run`, its result, and what a notebook shows."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import error_of
from tiny import FILE, comparable, write_images

import sr_ptq_bench
from sr_ptq_bench.cli.commands.run import run
from sr_ptq_bench.evaluation.metrics import srq_evaluate
from sr_ptq_bench.records.files import read_record

OTHER_NAMES = {"tests": "test", "plugin_files": "plugin"}


@contextmanager
def default_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def tiny(tiny_suite):
    return {"suite": str(tiny_suite.path), "plugin": [FILE], "scale": 2, "bits": 4, "quiet": True}


def test_the_words_are_those_of_the_command():
    command = {OTHER_NAMES.get(option.name, option.name) for option in run.params}
    own = set(inspect.signature(sr_ptq_bench.measure).parameters)
    assert command - own == {"seeds", "as_json", "verbose"}
    assert own <= command


def test_the_record_is_that_of_the_command(tiny, srq, tiny_suite, tmp_path):
    made = sr_ptq_bench.measure(method="minmax", out=tmp_path / "a", **tiny)
    words = ("--suite", tiny_suite.path, "--plugin", FILE, "-m", "minmax", "-b", 4, "-s", 2, "--out", tmp_path / "b")
    assert srq("run", *words).status == 0
    (path,) = (tmp_path / "b").rglob("*.json")
    assert made.path == tmp_path / "a" / "results" / "tiny" / path.name
    assert comparable(read_record(made.path)) == comparable(read_record(path)) == comparable(made.record)
    assert made.psnr == {"noise": made.record.scores["noise"].mean["psnr"]}


DRAWING = """
import time, torch
from sr_ptq_bench import Bounds, hookimpl

@hookimpl
def srq_init_bounds(distribution):
    return Bounds(distribution.minimum, distribution.maximum)

@hookimpl
def srq_calibrate(student):
    for bound in student.bound_parameters():
        time.sleep(0.02)
        bound.data.add_(0.01 * torch.rand(()))
    student.fix_crossed_bounds()
"""


def test_threads_draw_the_numbers_that_each_would_draw_alone(tiny, tmp_path):
    (tmp_path / "drawing.py").write_text(DRAWING)
    words = tiny | {"plugin": [FILE, tmp_path / "drawing.py"]}

    def psnr(seed):
        return sr_ptq_bench.measure(method="drawing", seed=seed, force=True, **words).psnr

    alone = [psnr(seed) for seed in (0, 1)]
    assert alone[0] != alone[1]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(psnr, (0, 1))) == alone


def test_without_out_no_file_is_written_and_the_result_is_known_the_next_time(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.glob("*"))
    first = sr_ptq_bench.measure(method="minmax", **tiny)
    again = sr_ptq_bench.measure(method="minmax", **tiny | {"quiet": False})
    assert first.path is None
    assert again.record == first.record
    assert set(tmp_path.glob("*")) - before <= {tmp_path / "home"}
    assert "Measured already on this machine" in capsys.readouterr().err


def test_the_pictures_have_the_scores_of_the_record(tiny):
    made = sr_ptq_bench.measure(method="minmax", **tiny | {"bits": 2})
    record = made.record
    own, fp = (of["noise"].images for of in (record.scores, record.references.fp))
    image = max(own, key=lambda name: fp[name]["psnr"] - own[name]["psnr"])
    assert list(made.pictures) == ["HR", "bicubic", "FP", "minmax w2a2"]
    hr, _, full, student = made.pictures.values()
    assert srq_evaluate(student, hr, 2)["psnr"] == own[image]["psnr"]
    assert srq_evaluate(full, hr, 2)["psnr"] == fp[image]["psnr"]
    assert not np.array_equal(student, full)


def test_html_has_the_table_and_four_pictures(tiny):
    html = sr_ptq_bench.measure(method="minmax", **tiny)._repr_html_()
    assert html.count("<img ") == 4
    assert re.search(r'<th scope="row">full precision \(FP\)</th><td>[\d.]+</td>', html)
    assert "dB against FP" in html
    assert set(re.findall(r'src="([^,]*),', html)) == {"data:image/png;base64"}


def test_the_crop_is_where_the_student_differs_most_from_fp(tiny, tmp_path):
    images = write_images(tmp_path / "t", large=(96, 112))
    made = sr_ptq_bench.measure(method="minmax", test={"mine": images}, **tiny | {"bits": 2})
    full, student = (made.pictures[name].astype(float) for name in ("FP", "minmax w2a2"))
    squares = ((full - student) @ (65.481, 128.553, 24.966)) ** 2
    sums = np.lib.stride_tricks.sliding_window_view(squares, (64, 64)).sum((2, 3))
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    assert f"64x64 pixels at {left}, {top}:" in made._repr_html_()


def test_names_are_text(tiny, tiny_suite, tmp_path):
    images = write_images(tmp_path / "t", **{"<script>alert(1)": (24, 28)})
    html = sr_ptq_bench.measure(method="minmax", test={"mine": images}, **tiny)._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"method": "minmx"}, "did you mean 'minmax'"),
        ({"bits": 9}, "9"),
        ({"scale": 5}, "expected 2, 3 or 4"),
        ({"tile_overlap": 4}, "give both"),
        ({"options": {"minmax.nothing": 1}}, "nothing"),
        ({"method": None}, "method: Input should be a valid string"),
        ({"scope": "everything"}, "scope: Input should be 'linear' or 'all', got 'everything'"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0, got -1"),
        ({"seed": 2**70}, "seed: Input should be less than"),
        ({"tile": 4}, "tile: Input should be greater than or equal to 8, got 4"),
        ({"threads": 0}, "threads: Input should be greater than or equal to 1, got 0"),
        ({"suite": 3}, "suite"),
        ({"model": ["tiny"]}, "model: Input should be a valid string"),
        ({"test": "photos"}, "test: Input should be a valid dictionary, got 'photos'"),
        ({"options": ["p=1"]}, "options: Input should be a valid dictionary"),
        ({"plugin": [3]}, "plugin"),
        ({"out": 3}, "out"),
        ({"mixed": "perhaps"}, "mixed: Input should be a valid boolean"),
        ({"bit": 4}, "bit: Unexpected keyword argument"),
    ],
)
def test_impossible_words_are_refused(tiny, words, told):
    assert told in error_of(sr_ptq_bench.measure, **{"method": "minmax"} | tiny | words)


@pytest.mark.parametrize("out", ["a\0b", "file", "file/below", "loop"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(tiny, tmp_path, monkeypatch, out):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sr_ptq_bench.notebook.measure.measure_or_reuse", pytest.fail)
    with pytest.raises(sr_ptq_bench.SrqError):
        sr_ptq_bench.measure(method="minmax", out=out, **tiny)


def test_the_home_of_nobody_is_a_folder_here_as_for_the_command(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = sr_ptq_bench.measure(method="minmax", out="~nobodyx/y", **tiny)
    assert made.path is not None
    assert made.path.resolve().is_relative_to(tmp_path / "~nobodyx/y")


def test_one_plugin_and_a_suite_may_be_paths(tiny):
    words = tiny | {"suite": Path(tiny["suite"]), "plugin": FILE}
    made = sr_ptq_bench.measure(method="minmax", **words)
    words["plugin"] = (str(file) for file in [FILE])
    assert sr_ptq_bench.measure(method="minmax", **words).record == made.record


def test_the_random_numbers_of_the_caller_go_on(tiny):
    random.seed(1)
    torch.manual_seed(1)
    expected = [random.random(), float(torch.rand(()))]
    random.seed(1)
    torch.manual_seed(1)
    sr_ptq_bench.measure(method="minmax", **tiny)
    assert [random.random(), float(torch.rand(()))] == expected


def test_a_notebook_shows_it(tiny, tmp_path):
    """In a real kernel."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    words = ", ".join(f"{key}={value!r}" for key, value in (tiny | {"plugin": [str(FILE)]}).items())
    cell = f"import sr_ptq_bench\nsr_ptq_bench.measure(method='minmax', {words})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    (output,) = [each for each in notebook.cells[0].outputs if each.output_type == "execute_result"]
    assert output.data["text/html"].count("<img ") == 4
    assert re.fullmatch(r"Measurement\(minmax w4a4, tiny x2: noise [\d.]+ dB\)", output.data["text/plain"])


def test_the_example_of_the_docs_is_a_run(monkeypatch):
    from sr_ptq_bench.hooks.plugins import Plugins
    from sr_ptq_bench.hooks.resolve import resolve_method
    from sr_ptq_bench.notebook import measure as module

    page = (Path(__file__).parents[2] / "docs/notebook.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    asked = []

    def refuse(spec, session):
        asked.append(spec)
        raise sr_ptq_bench.SrqError("far enough")

    monkeypatch.setattr(module, "prepare", refuse)
    assert error_of(exec, example, {}) == "far enough"
    (spec,) = asked
    method = resolve_method(Plugins(), spec.method, spec.options)
    assert (spec.scale, str(spec.bits), method.options["percentile"].p) == (4, "w4a4", 1e-4)


@pytest.mark.parametrize(
    "mode", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16), default_float64]
)
def test_the_mode_of_the_caller_changes_nothing(mode, tiny, monkeypatch, tmp_path):
    plain = sr_ptq_bench.measure(method="minmax+dqc", options={"iterations": 2, "patch": 8}, **tiny)
    monkeypatch.setenv("SRQ_HOME", str(tmp_path / "other"))
    with mode():
        before = torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
        inside = sr_ptq_bench.measure(method="minmax+dqc", options={"iterations": 2, "patch": 8}, **tiny)
        pictures = inside.pictures
        assert before == (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"))
    assert comparable(inside.record) == comparable(plain.record)
    assert all(np.array_equal(pictures[name], plain.pictures[name]) for name in pictures)
