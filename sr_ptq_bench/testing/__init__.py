"""What an author of a method runs with pytest: the promises of docs/hooks.md, checked on tiny networks.

    from sr_ptq_bench.testing import MethodConformance

    class TestMine(MethodConformance):
        plugin = "mine"

May import: backbones, basicsr_compat, data, errors, evaluation, hooks, protocol, quantization.
"""

from .conformance import MethodConformance

__all__ = ["MethodConformance"]
