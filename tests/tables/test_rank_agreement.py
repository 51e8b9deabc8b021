"""Pairs of methods keep the published order, or are named."""

from __future__ import annotations

from sr_ptq_bench.tables.rank_agreement import RankedMethod, note, separated_pairs

FOUR, TWO = ((4, 4), "linear+matmul"), ((2, 2), "linear+matmul")


def standing(label, measured, published, among=FOUR):
    return RankedMethod(label, among, measured, published)


def test_pairs_are_clear_beyond_three_tenths():
    near, far = standing("b", 0.0, 30.3), standing("c", 0.0, 30.31)
    assert list(separated_pairs([standing("a", 0.0, 30.0), near])) == []
    ((pair),) = separated_pairs([standing("a", 0.0, 30.0), far])
    assert (pair.winner.label, pair.other.label) == ("c", "a")


def test_only_methods_of_the_same_bits_and_scope_are_pairs():
    other_scope = standing("c", 1.0, 20.0, ((4, 4), "all"))
    assert list(separated_pairs([standing("a", 1.0, 30.0), standing("b", 1.0, 20.0, TWO), other_scope])) == []


def test_the_same_order_is_counted():
    said = note("Set5", [standing("a", 33.0, 30.0), standing("b", 34.0, 31.0), standing("c", 35.0, 31.1)])
    assert said == (
        "Set5: 2 of 2 pairs of methods published more than 0.3 dB apart at the same bits stand in the same order here."
    )


def test_another_order_is_named_with_both_differences():
    said = note("Set5", [standing("a", 33.0, 30.0), standing("b", 32.9, 31.0), standing("c", 36.0, 32.0)])
    assert said.startswith("Set5: 2 of 3 pairs")
    assert said.endswith("here; not so b over a at 4/4: published +1.00, measured -0.10.")


def test_equal_scores_are_not_the_published_order():
    assert "0 of 1 pairs" in note("Set5", [standing("a", 33.0, 30.0), standing("b", 33.0, 31.0)])


def test_without_clear_pairs_nothing_is_said():
    assert note("Set5", [standing("a", 33.0, 30.0)]) == ""
