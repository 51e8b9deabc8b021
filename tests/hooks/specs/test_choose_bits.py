"""`srq_choose_bits`."""

from __future__ import annotations

import pytest
from mistaken import minmax
from spied import calls
from tiny import SITES, measured, plugin, plugins, prepare, run

from sr_ptq_bench import Batches, Bits, SrqError, Student


def test_srq_choose_bits_gets_the_student_the_batches_and_the_bits_of_the_run(log):
    ((student, batches, bits, _),) = calls(log, "choose_bits")
    assert isinstance(student, Student)
    assert isinstance(batches, Batches)
    assert bits == Bits.parse("w3a5")
    assert {q.site.role: q.bits for q in student.quantizers.values()} == {"weight": 3, "activation": 5}
    ((quantized, *_),) = calls(log, "transform_model")
    assert quantized is not student


def chooser(chosen):
    return plugin("chooser", choose_bits=lambda: chosen)


def test_srq_choose_bits_decides_the_bits_of_sites(tiny_suite):
    seen = {}

    def init_bounds(site, distribution, bits):
        seen[site.name] = bits
        return minmax(distribution)

    chosen = {"fc1.weight": 2, "fc2.weight": 4, "key": 5}
    first = plugin("mine", init_bounds=init_bounds)
    result = measured(prepare(tiny_suite.spec("chooser+mine", bits="w3a6"), plugins(chooser(chosen), first)))
    assert seen == {site: 3 if site.endswith("weight") else 6 for site in SITES} | chosen
    assert result.record.site_bits == chosen
    assert result.record.spec.bits == Bits.parse("w3a6")
    assert result.record.complexity.parameters.keys() == {32, 4, 2}


@pytest.mark.parametrize("chosen", [None, {}])
def test_srq_choose_bits_may_leave_all_as_they_are(tiny_suite, chosen):
    record = run(tiny_suite, chooser(chosen), method="chooser+minmax", bits="3")
    assert record.site_bits == {}
    assert record.scores == run(tiny_suite, bits="3").scores


def test_srq_choose_bits_is_answered_by_one_component(tiny_suite):
    """Another one that answers would stand in the method's name without effect."""
    more = chooser({"key": 3}), plugin("second", choose_bits=lambda: {}), plugin("mute", choose_bits=lambda: None)
    assert run(tiny_suite, *more, method="mute+chooser+minmax", bits="4").site_bits == {"key": 3}
    with pytest.raises(SrqError, match="chooser and second both choose bits; keep one"):
        run(tiny_suite, *more, method="mute+chooser+second+minmax", bits="4")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([("key", 3)], "srq_choose_bits returns a list; expected bits by site"),
        ({"keys": 3}, "no site 'keys'; did you mean 'key'?"),
        ({"key": 1}, "srq_choose_bits gives site key 1 bits; expected an int from 2 to 8"),
        ({"key": 9}, "srq_choose_bits gives site key 9 bits; expected an int from 2 to 8"),
        ({"key": 3.0}, "srq_choose_bits gives site key 3.0 bits; expected an int from 2 to 8"),
        ({"key": True}, "srq_choose_bits gives site key True bits; expected an int from 2 to 8"),
        ({"fc1.weight": 5}, "srq_choose_bits gives weights 4.500 bits on average; expected 4 at most"),
        ({"query": 5}, "srq_choose_bits gives activations 4.200 bits on average; expected 4 at most"),
    ],
)
def test_srq_choose_bits_that_no_run_can_have_are_refused(tiny_suite, chosen, expected):
    with pytest.raises(SrqError) as caught:
        run(tiny_suite, chooser(chosen), method="chooser+minmax", bits="4")
    assert str(caught.value) == f"plugin 'chooser': {expected}"


def test_srq_choose_bits_changes_nothing_but_bits(tiny_suite):
    def spoil(student):
        student.network.fc1.layer.weight.data.zero_()
        return {"key": 3}

    record = run(tiny_suite, plugin("spoil", choose_bits=spoil), method="spoil+minmax", bits="4")
    assert record.scores == run(tiny_suite, chooser({"key": 3}), method="chooser+minmax", bits="4").scores
