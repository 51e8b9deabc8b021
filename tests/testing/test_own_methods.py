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


class TestMse(MethodConformance):
    plugin = "mse"


class TestKl(MethodConformance):
    plugin = "kl"


class TestRepq(MethodConformance):
    plugin = "repq"


class TestCenter(MethodConformance):
    plugin = "center"


class TestSmoothquant(MethodConformance):
    plugin = "smoothquant"


class TestGptq(MethodConformance):
    plugin = "gptq"


class TestAdaround(MethodConformance):
    plugin = "adaround"
    options = {"iterations": 2, "layers": 9}


class TestPtq4vit(MethodConformance):
    plugin = "ptq4vit"
    options = {"points": 4, "rounds": 1, "rows": 64, "patch": 8}


class TestCompsrt(MethodConformance):
    plugin = "compsrt"
    options = {"iterations": 2, "batch": 1, "patch": 8}


class TestCompsrtWithBoundedLevels(MethodConformance):
    plugin = "compsrt"
    options = {"iterations": 2, "batch": 1, "patch": 8, "bounded": True}


class TestCondiquant(MethodConformance):
    plugin = "condiquant"
    options = {"condition.iterations": 2, "dqc.iterations": 2, "dqc.batch": 1, "dqc.patch": 8}


class TestConditionWithCorrection(MethodConformance):
    plugin = "condition"
    options = {"iterations": 2, "correct": True}


class TestLatent(MethodConformance):
    plugin = "latent"
    options = {"iterations": 2, "batch": 1, "patch": 8}
