"""Cotrain: centered norms and bounds of least squared error, from which all that is stored is trained together."""

from __future__ import annotations

from sr_ptq_bench import hookimpl


@hookimpl
def srq_compose() -> tuple[str, str, str]:
    """`cotrain` is `center+mse+latent`."""
    return "center", "mse", "latent"
