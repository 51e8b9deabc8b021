"""`srq_init_bounds`."""

from __future__ import annotations

import pytest
from spied import calls
from tiny import SITES, plugin, run

from sr_ptq_bench import Bounds


def test_srq_init_bounds_gets_every_site_once_with_its_bits(log):
    assert [(site, bits) for site, _, bits, _ in calls(log, "init_bounds")] == [
        (site, 3 if site.endswith("weight") else 5) for site in SITES
    ]


def test_srq_init_bounds_gets_statistics_of_the_full_precision_network(log):
    _, teacher, batches, _, _ = calls(log, "calibrate")[0]
    seen = {}
    key = teacher.model.network.key
    with key.register_forward_pre_hook(lambda _, inputs: seen.setdefault("key", inputs[0])):
        teacher(next(batches.fixed(len(batches.patches))))
    distributions = {site: distribution for site, distribution, _, _ in calls(log, "init_bounds")}
    key, weight = seen["key"], teacher.model.network.fc2.weight
    assert (distributions["key"].minimum, distributions["key"].maximum) == pytest.approx(
        (float(key.min()), float(key.max())), rel=1e-5
    )
    assert distributions["key"].count == key.numel()
    assert (distributions["fc2.weight"].minimum, distributions["fc2.weight"].maximum) == (weight.min(), weight.max())


def test_srq_init_bounds_sets_the_bounds_that_the_student_has(tiny_suite):
    found = {}

    def init_bounds(site):
        return Bounds(-0.5, SITES.index(site.name))

    def calibrate(student):
        found.update({name: (float(q.lower), float(q.upper)) for name, q in student.quantizers.items()})

    run(tiny_suite, plugin("mine", init_bounds=init_bounds, calibrate=calibrate), method="mine")
    assert found == {site: (-0.5, index) for index, site in enumerate(SITES)}
