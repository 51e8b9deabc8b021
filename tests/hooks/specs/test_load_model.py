"""`srq_load_model`."""

from __future__ import annotations

import pytest
from spied import calls
from tiny import plugin, plugins, write_weights
from tiny import srq_load_model as load_tiny

from sr_ptq_bench import SrqError


def test_srq_load_model_is_called_once_with_the_suite_s_model(spied):
    suite, log = spied
    assert calls(log, "load_model") == [("tiny", 2, suite.folder / "weights.safetensors")]


def test_srq_load_model_takes_the_one_answer_that_is_not_none(tmp_path):
    model = load_tiny("tiny", 2, write_weights(tmp_path / "w.safetensors"))
    asked = []

    def answer(result):
        def load_model(name):
            asked.append(name)
            return result

        return load_model

    some = plugins(plugin("yes", load_model=answer(model)), plugin("no", load_model=answer(None)))
    assert some.load_model("mine", 2, tmp_path) == (model, "yes")
    assert asked == ["mine", "mine"]


def test_srq_load_model_that_nobody_answers_is_an_error(tmp_path):
    with pytest.raises(SrqError, match=r"^no plugin loads a model called 'tinny'; asked: .*swinir.*, tiny$"):
        plugins().load_model("tinny", 2, write_weights(tmp_path / "w.safetensors"))
