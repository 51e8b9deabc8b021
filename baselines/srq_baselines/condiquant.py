"""CondiQuant (Liu et al., 2025), a reconstruction from its text: lower condition numbers, then DOBI and DQC."""

from __future__ import annotations

from sr_ptq_bench import hookimpl


@hookimpl
def srq_compose() -> tuple[str, str, str]:
    """`condiquant` is `condition+dobi+dqc`."""
    return "condition", "dobi", "dqc"
