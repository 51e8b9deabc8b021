"""The front of PSNR over cost, and the figure that marks it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import record

from sr_ptq_bench.plots.pareto import draw, front
from sr_ptq_bench.records.complexity import Complexity
from sr_ptq_bench.records.record import MostLevels
from sr_ptq_bench.tables.labels import labels
from sr_ptq_bench.tables.rows import rows_of


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1.0, 30.0)], [0]),
        ([(1.0, 30.0), (2.0, 31.0)], [0, 1]),
        ([(2.0, 31.0), (1.0, 30.0)], [1, 0]),
        ([(1.0, 30.0), (2.0, 29.0)], [0]),
        ([(1.0, 30.0), (1.0, 29.0)], [0]),
        ([(1.0, 30.0), (2.0, 30.0)], [0]),
        ([(1.0, 30.0), (1.0, 30.0)], [0, 1]),
        ([(1.0, math.nan), (2.0, 20.0)], [1]),
        ([(1.0, 30.0), (2.0, math.inf), (3.0, 40.0)], [0, 1]),
        ([(3.0, 33.0), (1.0, 30.0), (2.0, 29.5), (2.5, 32.0), (2.6, 31.9)], [1, 3, 0]),
    ],
)
def test_the_front_by_hand(points, expected):
    assert front(points) == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_every_other_point_is_beaten_by_one_of_the_front(points):
    found = front(points)
    costs, scores = zip(*(points[place] for place in found), strict=True)
    assert list(costs) == sorted(costs)
    assert list(scores) == sorted(scores)
    for place, (cost, score) in enumerate(points):
        beaten = any(points[of][0] <= cost and points[of][1] >= score for of in found)
        assert beaten
        assert place in found or (cost, score) not in [points[of] for of in found]


def test_the_costs_of_a_record_by_hand():
    """10 parameters of 32 bits and 100 of 4: 90 bytes. MACs of 4 pixels: (8 * 32^2 + 80 * 4^2) / 4."""
    counted = Complexity(parameters={32: 10, 4: 100}, macs={32: 8, 4: 80}, lr_pixels=4)
    assert (counted.bytes, counted.bit_operations) == (90.0, 2368.0)


def test_the_figure_rings_the_front_and_names_its_bits():
    known = [
        record("dobi", 34.0, "4"), record("minmax", 33.0, "4"), record("dobi", 30.0, "2"), record("minmax", 25.0, "2"),
    ]  # fmt: skip
    rows = rows_of(known, labels(known))
    figure = draw(rows, known[0].references, "title")
    for panel, unit, cost in zip(figure.axes, (1e6, 1e6), ("bytes", "bit_operations"), strict=True):
        lines = {line.get_label(): line for line in panel.get_lines()}
        assert list(lines) == ["dobi", "minmax", "front", "FP"]
        expected = sorted(
            (getattr(row, cost) / unit, row.scores["Set5"]["psnr"].mean) for row in rows if row.label == "dobi"
        )
        assert list(zip(*lines["front"].get_data(), strict=True)) == expected
        assert [text.get_text() for text in panel.texts] == ["2/2", "4/4"]


def test_the_figure_says_where_bits_are_mixed():
    known = [
        record("dobi", 34.0, "4"),
        record("mixed+dobi", 35.0, "4").model_copy(update={"site_bits": {"layers.0.weight": 2}}),
    ]
    rows = rows_of(known, labels(known))
    panel = draw(rows, known[0].references, "title").axes[0]
    assert {text.get_text() for text in panel.texts} == {"4/4 mixed"}


def test_what_has_more_levels_than_its_bits_is_drawn_but_no_part_of_the_front():
    most = MostLevels(site="fc2.input", bits=2, levels=37)
    known = [record("dobi", 34.0, "4"), record("loose", 35.0, "2").model_copy(update={"most_levels": most})]
    rows = rows_of(known, labels(known))
    panel = draw(rows, known[0].references, "title").axes[0]
    assert "loose (levels not bounded)" in {line.get_label() for line in panel.get_lines()}
    assert {text.get_text() for text in panel.texts} == {"4/4"}
