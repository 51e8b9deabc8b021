"""Our own methods pass through the door that those of strangers pass through."""

from __future__ import annotations

from sr_ptq_bench.testing import MethodConformance


class TestMinmax(MethodConformance):
    plugin = "minmax"


class TestPercentile(MethodConformance):
    plugin = "percentile"


class TestDbdc(MethodConformance):
    plugin = "dbdc"


class TestDobi(MethodConformance):
    plugin = "dobi"


class TestPac(MethodConformance):
    plugin = "pac"
    options = {"iterations": 2, "batch": 1, "patch": 8}


class TestDqc(MethodConformance):
    plugin = "dqc"
    options = {"iterations": 3, "batch": 1, "patch": 8}


class Test2DQuant(MethodConformance):
    plugin = "2dquant"
    options = {"dqc.iterations": 3, "dqc.batch": 1, "dqc.patch": 8}
