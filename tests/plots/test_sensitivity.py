"""The figure of a ranking."""

from __future__ import annotations

import pytest

from sr_ptq_bench.plots.sensitivity import draw
from sr_ptq_bench.records.sensitivity import Group, Sensitivities


@pytest.mark.parametrize(("groups", "title"), [(30, "title"), (31, "title\nthe 30 most sensitive of 31")])
def test_the_axis_has_its_unit_and_what_is_left_out_is_told(groups, title):
    made = tuple(Group(f"site{index}", "weight", 1, 20.0 + index, 30.0 - index) for index in range(groups))
    figure = draw(Sensitivities(made, 19.0, "PSNR against HR"), "title")
    assert (figure.get_supxlabel(), figure.get_suptitle()) == ("PSNR against HR (dB)", title)
    only, without = figure.axes
    assert [tick.get_text() for tick in only.get_yticklabels()] == [f"site{index}" for index in range(30)]
    assert list(without.lines[0].get_xdata()) == [30.0 - index for index in range(30)]
