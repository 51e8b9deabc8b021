"""Cotrain: DOBI chooses the first bounds, then latent weights, biases, norms and bounds are trained together."""

from __future__ import annotations

from sr_ptq_bench import hookimpl


@hookimpl
def srq_compose() -> tuple[str, str]:
    """`cotrain` is `dobi+latent`."""
    return "dobi", "latent"
