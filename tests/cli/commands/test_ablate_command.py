"""`srq ablate` measures the cells of an ablation as runs and prints its table."""

from __future__ import annotations

import pytest
from tiny import FILE, TinySuite

from sr_ptq_bench.records.files import read_record

SHORT = {"dqc.iterations": 1, "dqc.batch": 1, "dqc.patch": 8, "dobi.K": 3}


@pytest.fixture
def ablate(srq, tiny_suite: TinySuite, tmp_path):
    """`srq ablate` on the tiny suite with the shortest training, records in `tmp_path/out`."""
    tiny_suite.change(options=SHORT)

    def call(*arguments):
        fixed = ("--suite", tiny_suite.path, "--plugin", FILE, "--out", tmp_path / "out")
        return srq("ablate", *arguments, *fixed)

    return call


@pytest.fixture
def records(tmp_path):
    """The records written so far."""
    return lambda: [read_record(path) for path in sorted((tmp_path / "out" / "results" / "tiny").glob("*.json"))]


def table(out: str) -> list[list[str]]:
    lines = [line for line in out.splitlines() if line.startswith("|") and ":-" not in line]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]


def test_the_stages_at_two_bits_by_default(ablate, records):
    outcome = ablate("stages")
    assert outcome.status == 0, outcome.err
    psnr = {record.spec.method: f"{record.scores['noise'].mean['psnr']:.2f}" for record in records()}
    assert {str(record.spec.bits) for record in records()} == {"w2a2"}
    assert [row[:4] for row in table(outcome.out)] == [
        ["DOBI", "DQC", "Method", "noise PSNR"],
        ["–", "–", "minmax", psnr["minmax"]],
        ["✓", "–", "dobi", psnr["dobi"]],
        ["–", "✓", "minmax+dqc", psnr["minmax+dqc"]],
        ["✓", "✓", "2dquant", psnr["2dquant"]],
    ]
    assert [line for line in outcome.err.splitlines() if " of 4" in line] == [
        "stages minmax: 1 of 4", "stages dobi: 2 of 4", "stages minmax+dqc: 3 of 4", "stages 2dquant: 4 of 4",
    ]  # fmt: skip


@pytest.mark.parametrize(("what", "values"), [("lr", "1e-1,3e-2"), ("batch", "1,2")])
def test_values_reach_dqc(ablate, records, what, values):
    outcome = ablate(what, "--values", values, "--bits", 4, "--seed", 3)
    assert outcome.status == 0, outcome.err
    assert sorted(record.spec.options["dqc"][what] for record in records()) == sorted(map(float, values.split(",")))
    assert {record.spec.seed for record in records()} == {3}
    assert table(outcome.out)[0][1:] == values.split(",")


def test_an_ablation_that_was_stopped_goes_on(ablate, records):
    ablate("lr", "--values", "1e-1")
    first = records()
    outcome = ablate("lr", "--values", "1e-1,1e-2")
    assert outcome.err.count("Measured already") == 1
    assert outcome.err.count("Score the quantized network") == 1
    assert len(records()) == 2
    assert first[0] in records()
    again = ablate("lr", "--values", "1e-1,1e-2")
    assert again.err.count("Measured already") == 2
    assert again.out == outcome.out


def test_a_run_of_the_same_setting_is_not_measured_again(ablate, srq, tiny_suite, tmp_path):
    fixed = ("--suite", tiny_suite.path, "--plugin", FILE, "--out", tmp_path / "out", "--scale", 2, "--bits", 2)
    assert srq("run", *fixed, "--method", "dobi").status == 0
    assert ablate("stages").err.count("Measured already") == 1


@pytest.mark.parametrize(("name", "said"), [("csv", "suite,model,scale"), ("json", '"ablation": "stages"')])
def test_formats(ablate, name, said):
    assert said in ablate("stages", "--format", name).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lrs",), "'lrs' is not one of"),
        ((), "Missing argument"),
        (("lr", "--values", "fast"), "no value 'fast'"),
        (("lr", "--values", "1e-2,-1"), "lr: Input should be greater than 0"),
        (("batch", "--values", "1,2.5"), "batch: Input should be a valid integer"),
        (("stages", "--values", "1"), "the stages have no values"),
        (("parts", "--values", "1"), "--values goes with lr and batch"),
        (("lr", "--method", "minmax"), "--method goes with parts; lr is about 2DQuant"),
        (("lr", "-o", "dqc.lr=1e-3"), "-o dqc.lr is what this ablation varies; leave it out."),
        (("batch", "-o", "batch=2"), "-o batch is what this ablation varies; leave it out."),
        (("lr", "--bits", "1"), "bits '1' are out of range"),
        (("lr", "--scale", "5"), "scale 5 is out of range"),
        (("lr", "--scale", "3"), "no weights for x3"),
        (("lr", "--model", "edsr"), "no model 'edsr'"),
        (("lr", "--device", "tpu"), "device 'tpu' is not available"),
        (("lr", "--format", "html"), "'html' is not one of"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(ablate, records, arguments, said):
    outcome = ablate(*arguments)
    assert (outcome.status, outcome.out, records()) == (2, "", [])
    assert said in outcome.err
    assert "Score" not in outcome.err


PARTS = """
from sr_ptq_bench import Bounds, PluginOptions, hookimpl

class Options(PluginOptions):
    share: float = 1.0

    @classmethod
    def parts(cls):
        return {"clipping": {"share": 2.0}}

@hookimpl
def srq_init_bounds(distribution, options):
    return Bounds(distribution.minimum * options.share, distribution.maximum * options.share)
"""


def test_each_part_of_a_method_is_left_out(ablate, records, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PARTS)
    outcome = ablate("parts", "--method", "mine", "--plugin", path)
    assert outcome.status == 0, outcome.err
    assert sorted(record.spec.options["mine"]["share"] for record in records()) == [1.0, 2.0]
    assert [row[0] for row in table(outcome.out)] == ["Parts", "mine", "without clipping"]


def test_a_module_that_remembers_its_last_cell_starts_anew(ablate, records, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PARTS.replace("@hookimpl", "calls = []\n\n@hookimpl").replace(
        "    return Bounds(", "    calls.append(distribution)\n    return Bounds(len(calls) * "
    ))  # fmt: skip
    assert ablate("parts", "--method", "mine", "--plugin", path).status == 0
    both = {record.spec.options["mine"]["share"]: record.scores for record in records()}
    for file in (tmp_path / "out" / "results" / "tiny").iterdir():
        file.unlink()
    assert ablate("parts", "--method", "mine", "--plugin", path, "-o", "mine.share=2.0", "--force").status == 0
    (alone,) = records()
    assert both[2.0] == alone.scores


def test_a_method_without_parts_is_one_line(ablate):
    outcome = ablate("parts", "--method", "dobi")
    assert outcome.status == 2
    assert "name no parts" in outcome.err
