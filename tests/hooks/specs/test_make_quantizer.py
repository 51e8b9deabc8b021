"""`srq_make_quantizer`."""

from __future__ import annotations

from mistaken import minmax
from spied import calls
from tiny import SITES, plugin, run

from sr_ptq_bench import Quantizer


def test_srq_make_quantizer_is_asked_for_every_site_with_the_bits_of_its_role(log):
    assert [(site, bits) for site, bits, _ in calls(log, "make_quantizer")] == [
        (site, 3 if site.endswith("weight") else 5) for site in SITES
    ]


def test_srq_make_quantizer_s_answer_takes_the_place_of_the_default(tiny_suite):
    class Off(Quantizer):
        levels_bounded = False

        def quantize(self, v):
            return v

    kinds = {}

    def make_quantizer(site, bits):
        return Off(site, bits) if site.role == "weight" else None

    def calibrate(student):
        kinds.update({name: type(quantizer) for name, quantizer in student.quantizers.items()})

    run(tiny_suite, plugin("own", make_quantizer=make_quantizer, init_bounds=minmax, calibrate=calibrate), method="own")
    assert kinds == {site: Off if site.endswith("weight") else Quantizer for site in SITES}


def test_srq_make_quantizer_is_answered_by_the_first_part(tiny_suite):
    made = []

    def first(site, bits):
        made.append(Quantizer(site, bits))
        return made[-1]

    def second(site, bits):
        raise AssertionError

    def calibrate(student):
        assert list(student.quantizers.values()) == made

    one = plugin("one", init_bounds=minmax, make_quantizer=first)
    run(tiny_suite, one, plugin("two", make_quantizer=second, calibrate=calibrate), method="one+two")
    assert len(made) == len(SITES)
