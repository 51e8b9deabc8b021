"""A run whose quantizers have more levels than their bits: refused, or marked where the method says so."""

from __future__ import annotations

import pytest
from tiny import measured, plugin, plugins, prepare, run, session

from sr_ptq_bench import PluginOptions, Quantizer, SrqError
from sr_ptq_bench.runs.verify import verify


class Options(PluginOptions):
    clamped: bool = True


class Stepped(Quantizer):
    """A step of a fifth of the range at any bits; `clamped` keeps the lowest 2^b codes."""

    clamped = True

    def quantize(self, v):
        step = (self.upper - self.lower) / 5
        codes = ((v - self.lower) / step).round().clamp(0, 5)
        return self.lower + step * (codes.clamp_max(2**self.bits - 1) if self.clamped else codes)


def method(announced, sites=("query",)):
    """A plugin `mine` with this quantizer at some sites."""

    def make_quantizer(site, bits, options):
        if site.name not in sites:
            return None
        made = Stepped(site, bits)
        made.clamped = options.clamped
        made.levels_bounded = options.clamped or not announced
        return made

    return plugin("mine", Options, make_quantizer=make_quantizer)


def of(suite, announced=True, clamped="false", bits="2", **more):
    return run(suite, method(announced, **more), method="minmax+mine", bits=bits, **{"mine.clamped": clamped})


def test_more_levels_than_bits_are_refused_by_name(tiny_suite):
    with pytest.raises(SrqError) as caught:
        of(tiny_suite, announced=False)
    assert str(caught.value) == (
        "dataset 'noise', image 'first': method 'minmax+mine': site query has 6 distinct levels; "
        "2 bits have 4 at most. With levels_per_channel = True they count by channel; with levels_bounded = False a "
        "quantizer may have more, and tables say so"
    )


def test_a_weight_is_refused_before_any_image(tiny_suite):
    with pytest.raises(
        SrqError, match=r"^method 'minmax\+mine': site fc2\.weight has 6 distinct levels; 2 bits have 4"
    ):
        of(tiny_suite, announced=False, sites=["fc2.weight"])


def test_an_option_may_ask_for_more_levels_and_the_record_then_says_so(tiny_suite):
    record = of(tiny_suite)
    assert record.most_levels is not None
    assert record.most_levels.model_dump() == {"site": "query", "bits": 2, "levels": 6}


@pytest.mark.parametrize("settings", [{"clamped": "true"}, {"bits": "3"}])
def test_levels_that_the_bits_allow_leave_no_trace(tiny_suite, settings):
    record = of(tiny_suite, **settings)
    assert record.most_levels is None
    assert "most_levels" not in record.model_dump(mode="json")


def prepared(suite, announced):
    return prepare(suite.spec("minmax+mine", "2", **{"mine.clamped": "false"}), plugins(method(announced)))


def test_verify_counts_too(tiny_suite):
    result = measured(prepared(tiny_suite, announced=True))
    assert all(each.holds for each in verify(prepared(tiny_suite, True), result, session()))
    with pytest.raises(SrqError, match=r"site query has 6 distinct levels; 2 bits have 4 at most"):
        verify(prepared(tiny_suite, announced=False), result, session())


def test_verify_refuses_levels_that_the_record_does_not_mention(tiny_suite):
    result = measured(prepared(tiny_suite, announced=True))
    quiet = type(result)(result.record.model_copy(update={"most_levels": None}), result.state)
    with pytest.raises(SrqError) as caught:
        verify(prepared(tiny_suite, announced=True), quiet, session())
    assert str(caught.value) == (
        "site query has 6 levels at 2 bits; the record does not say that levels are not bounded"
    )


@pytest.mark.parametrize(
    "said",
    [{"site": "nowhere"}, {"bits": 3, "site": "key"}, {"levels": 5, "bits": 4}, {"site": "fc1.weight", "bits": 8}],
)
def test_verify_refuses_a_site_and_bits_that_no_state_has(tiny_suite, said):
    result = measured(prepared(tiny_suite, announced=True))
    assert result.record.most_levels is not None
    most = result.record.most_levels.model_copy(update=said)
    forged = type(result)(result.record.model_copy(update={"most_levels": most}), result.state)
    with pytest.raises(SrqError, match=r"^site query has 6 levels at 2 bits; the record says "):
        verify(prepared(tiny_suite, announced=True), forged, session())


def test_verify_refuses_far_fewer_levels_than_there_are(tiny_suite):
    result = measured(prepared(tiny_suite, announced=True))
    assert result.record.most_levels is not None
    for levels, holds in ((5, True), (2, False)):
        most = result.record.most_levels.model_copy(update={"levels": levels})
        other = type(result)(result.record.model_copy(update={"most_levels": most}), result.state)
        if holds:
            assert all(each.holds for each in verify(prepared(tiny_suite, True), other, session()))
        else:
            with pytest.raises(SrqError, match="the record says 2 at 2 bits, query"):
                verify(prepared(tiny_suite, True), other, session())
