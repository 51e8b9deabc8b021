"""Wild changes of what is read, and the one line that refuses it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from refusals import one_line
from tiny import plugins

from sr_ptq_bench import SrqError

RECORDS = sorted((Path(__file__).parents[2] / "leaderboards/results/sample").glob("*-x4-*.json"))
INSTALLED = plugins()
few = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
HUGE = "9" * 5000
DEEP = "[" * 20000
numbers = st.integers() | st.floats() | st.sampled_from([10**30, 10**400, -1, 0, 2**63])
scalars = st.none() | st.booleans() | numbers | st.text(max_size=30)
values = st.recursive(
    scalars, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=8), of, max_size=3), max_leaves=6
)


@contextmanager
def refused_in_one_line():
    """The one exception that may come out."""
    try:
        yield
    except SrqError as error:
        one_line(error)


def mutated(data: st.DataObject, content: bytes, within: int | None = None) -> bytes:
    """Bytes replaced, inserted, removed, or cut off at the end."""
    end = min(len(content), within or len(content))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, end))
        stop = data.draw(st.integers(start, min(end, start + 12)))
        content = content[:start] + data.draw(st.binary(max_size=12)) + content[stop:]
    return content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content


def places(value, at=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


def put(tree, where, value, key=None):
    """The tree with another value in a place, or there with one key more."""
    if not where:
        return {**tree, key: value} if key is not None and isinstance(tree, dict) else value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[where[0]] = put(tree[where[0]], where[1:], value, key)
    return copy
