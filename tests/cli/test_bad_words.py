"""Words of `srq run` that cannot be: one line that names the value and what was expected, status 2."""

from __future__ import annotations

import pytest
import torch
from bench import Bench
from safetensors.torch import save_file
from tiny import TinySuite

from sr_ptq_bench.backbones import edsr


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"method": "minmx"}, "srq: no method 'minmx'; did you mean 'minmax'?"),
        ({"method": "DOBI"}, "srq: no method 'DOBI'; did you mean 'dobi'?"),
        ({"method": "minmax+dcq"}, "srq: no method 'dcq'; did you mean 'dqc'?"),
        ({"method": "minmax+dobi"}, "srq: method 'minmax+dobi' has two initializers, minmax and dobi; keep one"),
        ({"method": "dqc"}, "srq: method 'dqc' has no initializer; put one before it, such as minmax+dqc"),
        ({"method": "2dquant+dqc"}, "srq: method '2dquant+dqc' names 'dqc' twice"),
        ({"suite": "sampel"}, "srq: no suite 'sampel'; did you mean 'sample'?"),
        ({"suite": "mine.toml"}, "srq: cannot read suite mine.toml: No such file or directory"),
        ({"model": "edsr"}, "srq: no model 'edsr'; there is: tiny"),
        ({"bits": "9"}, "srq: bits '9' are out of range; expected 2 to 8"),
        ({"bits": "w1a4"}, "srq: bits 'w1a4' are out of range; expected 2 to 8"),
        ({"bits": "four"}, "srq: no bit-width 'four'; expected a number such as 4, or w4a8"),
        ({"scale": 5}, "srq: scale 5 is out of range; expected 2, 3 or 4"),
        ({"scale": 3}, "srq: suite 'tiny' has no weights for x3; it has x2"),
        ({"scale": "two"}, "srq: Invalid value for '--scale' / '-s': 'two' is not a valid integer."),
        ({"scope": "conv"}, "srq: Invalid value for '--scope': 'conv' is not one of 'linear', 'all'."),
        ({"seed": -1}, "srq: Invalid value for '--seed': -1 is not in the range"),
        ({"seed": 2**64}, "srq: Invalid value for '--seed': 18446744073709551616 is not in the range"),
        ({"device": "tpu"}, "srq: device 'tpu' is not available here; expected auto, cpu or cuda"),
        ({"option": "lr"}, "srq: option 'lr' is not of the form key=value"),
        ({"option": "p=1"}, "srq: no option 'p'; there is: none"),
        ({"method": "2dquant", "option": "dqc.lrr=1"}, "srq: no option 'dqc.lrr'; did you mean 'dqc.lr'?"),
        ({"method": "2dquant", "option": "iteration=1"}, "srq: no option 'iteration'; did you mean 'iterations'?"),
        ({"method": "2dquant", "option": "lr=-1"}, "srq: option lr: Input should be greater than 0, got '-1'"),
        ({"method": "2dquant", "option": "preset=x"}, "srq: no preset 'x'; there is: official, paper"),
        ({"test": "photos"}, "srq: test set 'photos' is not of the form NAME=HR_DIR"),
        ({"test": "=photos"}, "srq: test set '=photos' is not of the form NAME=HR_DIR"),
        ({"test": "a/b=photos"}, "srq: no name for a test set: 'a/b'; expected letters, digits, '.', '_' and '-'"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_is_refused(bench, named, expected):
    bench.refuses(expected, **named)


def test_scope_linear_of_a_network_of_convolutions_is_refused(srq, tmp_path):
    torch.manual_seed(0)
    save_file(edsr.new_network("msrresnet", 2).state_dict(), tmp_path / "weights.safetensors")
    suite = TinySuite.write(tmp_path / "suite")
    suite.change(model="msrresnet", weights={"2": str(tmp_path / "weights.safetensors")})
    Bench(srq, suite, tmp_path / "out").refuses(
        "srq: scope 'linear' quantizes nothing of 'msrresnet': all its layers are convolutions; choose 'all'",
        scope="linear",
    )


@pytest.mark.parametrize("missing", ["--method", "--bits", "--scale"])
def test_a_missing_word_names_the_help(srq, missing):
    given = {"--method": "minmax", "--bits": "4", "--scale": "2"}
    outcome = srq("run", *(word for key, value in given.items() if key != missing for word in (key, value)))
    assert outcome.status == 2
    assert outcome.err.startswith(f"srq: Missing option '{missing}'")
    assert outcome.err.endswith("See `srq run --help`.\n")


def test_an_option_given_twice_is_refused(bench):
    bench.refuses("srq: option 'p' is given twice", method="percentile", more=("-o", "p=0.1", "-o", "p=0.2"))


def test_an_option_given_in_two_spellings_is_refused(bench):
    more = ("-o", "p=0.1", "-o", "percentile.p=0.2")
    bench.refuses("srq: option 'p' is given twice, as 'percentile.p' too; keep one", method="percentile", more=more)


def test_a_test_set_given_twice_is_refused(bench):
    same = ("--test", f"a={bench.test}", "--test", f"a={bench.test}")
    bench.refuses("srq: test set 'a' is given twice", more=same)


def test_a_suite_without_metrics(bench, monkeypatch):
    monkeypatch.setenv("SRQ_DISABLE", "metrics")
    outcome = bench()
    assert outcome.status == 2
    assert outcome.err.endswith("srq: no metric plugin returned a score; is `metrics` blocked by SRQ_DISABLE?\n")
    assert not bench.out.exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("table", "--out", ""), "the word after --out"),
        (("report", "--results="), "--results"),
        (("upscale", "photo.png", "-o", ""), "the word after -o"),
        (("verify", "a.json", ""), "the word after a.json"),
        (("upscale", "photo.png", "--method", "", "--bits", "3"), "the word after --method"),
    ],
)
def test_an_empty_word_is_refused(srq, words, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = srq(*words)
    said = f"srq: {named} is empty; is a variable of the shell not set?\n"
    assert (outcome.status, outcome.out, outcome.err) == (2, "", said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "--port", 8000), "--port goes with --serve."),
        (("report", "--device", "auto"), "--device goes with --images; nothing else runs a network."),
        (("report", "--plugin", "mine.py"), "--plugin goes with --images; nothing else runs a network."),
        (("table", "--format", "csv", "--results", "a", "--out", "b"), "--format csv is printed; leave out --out"),
        (("doctor", "--json", "--quiet"), "--json has all findings; leave out --quiet."),
        (
            ("upscale", "a.png", "--record", "a.json", "--suite", "sample"),
            "--record says the suite; --suite is for the",
        ),
        (("upscale", "a.png", "--record", "a.json", "--scale", 0), "--record says network and scale; leave out"),
        (("sweep", "a.toml", "-o", "p=1"), "--option cannot be combined with a.toml; set it in the file, or leave"),
    ],
)
def test_an_option_without_effect_is_refused(srq, words, said):
    outcome = srq(*words)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"srq: {said}")
    assert len(outcome.err.splitlines()) == 1
