"""`srq plot` draws from records and runs, and refuses in one line what it cannot draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import FILE, TinySuite

from sr_ptq_bench.plots.crops import draw
from sr_ptq_bench.records.files import read_record, state_path

TRAINED = ("-o", "dqc.iterations=3", "-o", "dqc.batch=2", "-o", "dqc.patch=8")


class Plot:
    """`srq` on the tiny suite at x2, records in `out`, the picture at `picture`."""

    def __init__(self, srq, suite: TinySuite, folder) -> None:
        self.srq, self.suite = srq, suite
        self.out, self.picture = folder / "out", folder / "figure.png"

    def run(self, method, *more, bits="2"):
        fixed = ("--suite", self.suite.path, "--plugin", FILE, "--scale", 2, "--out", self.out)
        outcome = self.srq("run", *fixed, "--method", method, "--bits", bits, *more)
        assert outcome.status == 0, outcome.err

    def of_records(self, kind, *more):
        where = ("--scale", 2, "--suite", "tiny", "--results", self.out / "results", "--out", self.picture)
        return self.srq("plot", kind, *where, *more)

    def of_runs(self, kind, *more, methods=("minmax", "percentile"), bits="2"):
        fixed = ("--suite", self.suite.path, "--plugin", FILE, "--scale", 2, "--bits", bits, "--out", self.picture)
        named = [word for name in methods for word in ("--method", name)]
        return self.srq("plot", kind, *fixed, "--results", self.out / "results", *named, *more)

    def is_drawn(self, outcome):
        assert outcome.status == 0, outcome.err
        assert outcome.err.splitlines()[-1] == f"wrote {self.picture}"
        assert outcome.out == ""
        assert self.picture.read_bytes().startswith(b"\x89PNG")

    def is_refused(self, outcome, *expected):
        assert outcome.status == 2
        (line,) = outcome.err.splitlines()
        assert [text for text in map(str, expected) if text not in line] == [], line
        assert not self.picture.exists()


@pytest.fixture
def plot(srq, tiny_suite, tmp_path):
    return Plot(srq, tiny_suite, tmp_path)


# Figures of records


def test_psnr_over_bits_is_drawn(plot):
    for bits in ("2", "4", "w4a8"):
        plot.run("minmax", bits=bits)
    plot.run("percentile")
    plot.is_drawn(plot.of_records("psnr"))


def test_several_seeds_and_a_lowest_value_are_drawn(plot):
    plot.run("minmax", "--seeds", 2)
    plot.is_drawn(plot.of_records("psnr", "--lowest", 10))


@pytest.mark.parametrize("kind", ["psnr", "pareto"])
def test_an_axis_that_begins_above_all_values_is_refused(plot, kind):
    plot.run("minmax")
    plot.is_refused(plot.of_records(kind, "--lowest", 100), "nothing would be shown from 100 dB on")


def test_psnr_over_cost_is_drawn(plot):
    for bits in ("2", "w4a8"):
        plot.run("minmax", bits=bits)
    plot.run("percentile")
    plot.is_drawn(plot.of_records("pareto"))
    plot.is_drawn(plot.of_records("pareto", "--lowest", 10))


def test_only_some_methods(plot):
    plot.run("minmax")
    plot.run("percentile")
    plot.is_drawn(plot.of_records("psnr"))
    both = plot.picture.read_bytes()
    plot.is_drawn(plot.of_records("psnr", "--method", "minmax"))
    assert plot.picture.read_bytes() != both


def test_losses_are_drawn(plot):
    plot.run("minmax+dqc", *TRAINED)
    plot.run("minmax+dqc", *TRAINED, bits="3")
    plot.run("minmax")
    plot.is_drawn(plot.of_records("loss"))
    plot.picture.unlink()
    plot.is_drawn(plot.of_records("loss", "--bits", 3))
    plot.picture.unlink()
    plot.is_refused(plot.of_records("loss", "--bits", 8), "of the 0 records selected none holds losses")


def test_records_without_losses_are_refused(plot):
    plot.run("minmax")
    plot.is_refused(plot.of_records("loss"), "srq: of the 1 records selected none holds losses; measure a calibrator")


@pytest.mark.parametrize("kind", ["psnr", "pareto"])
def test_the_axis_begins_at_0_db_or_above(plot, kind):
    plot.is_refused(plot.of_records(kind, "--lowest", -1), "'--lowest': -1.0 is not in the range x>=0.")
    assert "[x>=0]" in plot.srq("plot", kind, "--help").out


@pytest.mark.parametrize("kind", ["psnr", "loss"])
def test_no_records_are_refused(plot, kind):
    step = "make one: `srq run --method minmax --bits 4 --scale 2 --suite FILE.toml`"
    plot.is_refused(plot.of_records(kind), f"srq: no records of x2 in {plot.out}/results/tiny; {step}")


def test_records_of_other_methods_or_models_are_refused(plot):
    plot.run("minmax")
    plot.is_refused(plot.of_records("psnr", "--method", "minmx"), "no method 'minmx'; did you mean 'minmax'?")
    plot.is_refused(plot.of_records("psnr", "--model", "tinny"), "no model 'tinny'; did you mean 'tiny'?")
    plot.is_refused(plot.of_records("psnr", "--scale", 5), "scale 5 is out of range; expected 2, 3 or 4")


# Figures of runs


def test_distributions_with_bounds(plot):
    plot.is_drawn(plot.of_runs("distributions"))
    default = plot.picture.read_bytes()
    plot.is_drawn(plot.of_runs("distributions", "--site", "fc?.weight", "--site", "query"))
    assert plot.picture.read_bytes() != default


def test_a_pattern_that_fits_no_site(plot):
    outcome = plot.of_runs("distributions", "--site", "fc9*")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].startswith("srq: no site's name fits 'fc9*'; there are 6, the first is ")
    assert not plot.picture.exists()


def test_bounds_before_and_after_calibration_are_drawn(plot):
    plot.suite.change(options={"dqc.iterations": 2, "dqc.batch": 2, "dqc.patch": 8})
    plot.is_drawn(plot.of_runs("bounds", methods=("dobi", "2dquant")))


@pytest.mark.parametrize("kind", ["bounds", "distributions"])
def test_a_method_that_rewrites_weights_is_drawn_alone(plot, tmp_path, kind):
    (tmp_path / "half.py").write_text(
        "from sr_ptq_bench import hookimpl\n\n\n@hookimpl\ndef srq_transform_model(student):\n"
        "    for weight in student.weights.values():\n        weight.data.mul_(0.5)\n"
    )
    more = ("--plugin", tmp_path / "half.py")
    line = "srq: method 'minmax+half' changes weights, so its distributions are its own; draw it alone"
    plot.is_refused(plot.of_runs(kind, *more, methods=("minmax", "minmax+half")), line)
    plot.is_drawn(plot.of_runs(kind, *more, methods=("minmax+half",)))


@pytest.mark.parametrize("kind", ["bounds", "distributions"])
def test_a_calibrator_that_changes_weights_is_drawn_alone(plot, tmp_path, kind):
    """Whether a calibrator does so is known once it has run."""
    (tmp_path / "half.py").write_text(
        "from sr_ptq_bench import hookimpl\n\n\n@hookimpl\ndef srq_calibrate(student):\n"
        "    for weight in student.weights.values():\n        weight.data.mul_(0.5)\n    return {}\n"
    )
    more = ("--plugin", tmp_path / "half.py")
    outcome = plot.of_runs(kind, *more, methods=("minmax", "minmax+half"))
    line = "srq: method 'minmax+half' changes weights, so its distributions are its own; draw it alone"
    assert (outcome.status, outcome.err.splitlines()[-1]) == (2, line)
    assert not plot.picture.exists()
    plot.is_drawn(plot.of_runs(kind, *more, methods=("minmax+half",)))


def test_the_crop_of_one_method_is_where_it_differs_most_from_fp(plot, monkeypatch):
    drawn = []
    monkeypatch.setattr("sr_ptq_bench.plots.crops.draw", lambda *of: drawn.append(of) or draw(*of))
    plot.is_drawn(plot.of_runs("crops", "--side", 8, methods=("minmax",)))
    ((_, (_, full, own), box, _),) = drawn
    squares = ((full.sr.astype(float) - own.sr) @ (65.481, 128.553, 24.966)) ** 2
    sums = np.lib.stride_tricks.sliding_window_view(squares, (8, 8)).sum((2, 3))
    assert (box.top, box.left) == np.unravel_index(sums.argmax(), sums.shape)


@pytest.mark.parametrize("kind", ["crops", "errors"])
def test_views_of_an_image(plot, kind):
    plot.is_drawn(plot.of_runs(kind, "--image", "second", "--side", 12))
    found = plot.picture.read_bytes()
    plot.is_drawn(plot.of_runs(kind, "--image", "second", "--crop", "2,4,10,8"))
    assert plot.picture.read_bytes() != found
    plot.is_drawn(plot.of_runs(kind, methods=("minmax",)))


def test_views_without_a_psnr_are_refused(plot, monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "metrics")
    plot.is_refused(plot.of_runs("crops"), "no plugin gives 'psnr'")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--crop", "1,2,3,4", "--side", "64"), "srq: --crop says the size; leave out --side."),
        (("--crop", "1,2,3"), "srq: no crop '1,2,3'; expected X,Y,WIDTH,HEIGHT in pixels, such as 100,40,96,96"),
        (("--crop", "1,2,0,3"), "srq: no crop '1,2,0,3'; expected X,Y,WIDTH,HEIGHT in pixels"),
        (("--crop", "20,0,9,9"), "srq: crop 20,0,9,9 is not within image 'first' of 28x24 pixels"),
        (("--image", "frist"), "srq: no image 'frist'; did you mean 'first'?"),
        (("--method", "minmx"), "srq: no method 'minmx'; did you mean 'minmax'?"),
        (("--method", "minmax"), "srq: method 'minmax' is given twice; name each once"),
        (("--bits", "9"), "srq: bits '9' are out of range; expected 2 to 8"),
        (("--out", "figure.jpg"), "srq: no picture can be written to figure.jpg; expected a name that ends in .png"),
    ],
)
def test_views_that_cannot_be_are_refused(plot, more, line):
    more = ("--crop", "20,0,9,9", *more) if "--crop" not in more and more[0] != "--image" else more
    plot.is_refused(plot.of_runs("crops", *more), line)


def test_the_same_command_draws_the_same_file(plot):
    files = []
    for kind in ("distributions", "bounds", "crops", "errors") * 2:
        plot.is_drawn(plot.of_runs(kind))
        files.append(plot.picture.read_bytes())
    assert files[:4] == files[4:]


def test_the_stored_state_is_drawn(plot):
    """The student comes from the state beside the record; a damaged one is named and calibrated again."""
    plot.run("minmax")
    (path,) = plot.out.rglob("*.json")
    state = state_path(path, read_record(path))
    state.write_bytes(b"no tensors")
    outcome = plot.of_runs("bounds")
    assert outcome.status == 0
    assert f"Not used: state {state} is not that of the record {path.name}; measure again\n" in outcome.err


def test_several_networks_in_one_folder_need_a_choice(plot):
    from sr_ptq_bench.records.files import write_record

    plot.run("minmax")
    (path,) = plot.out.rglob("*.json")
    record = read_record(path)
    other = record.model_copy(update={"spec": record.spec.model_copy(update={"model": "other"})})
    write_record(other, path.parent)
    plot.is_refused(plot.of_records("psnr"), "holds records of other, tiny; choose one with --model")
    plot.is_drawn(plot.of_records("psnr", "--model", "other"))
    assert json.loads(path.read_text())["spec"]["model"] == "tiny"


@pytest.mark.parametrize("suite", ["sample", "set5-set14"])
def test_of_the_committed_records_the_suite_s_first_network_is_drawn(srq, tmp_path, suite):
    results = Path(__file__).parents[3] / "leaderboards" / "results"
    for kind in ("psnr", "loss"):
        figure = tmp_path / f"{kind}.svg"
        outcome = srq("plot", kind, "--scale", 4, "--suite", suite, "--results", results, "--out", figure)
        assert outcome.status == 0, outcome.err
        assert f"swinir-light x4, suite {suite}" in figure.read_text()
