"""2DQuant (Liu et al., NeurIPS 2024): DOBI chooses the first bounds, DQC trains them."""

from __future__ import annotations

from sr_ptq_bench import hookimpl


@hookimpl
def srq_compose() -> tuple[str, str]:
    """`2dquant` is `dobi+dqc`."""
    return "dobi", "dqc"
