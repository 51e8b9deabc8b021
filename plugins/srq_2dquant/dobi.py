"""DOBI, distribution-oriented bound initialization (2DQuant, section 3.2 and Algorithm 1).

Of the candidates i = 0..K, with d = (max v - min v) / (2K), the pair with the least ||v - v_q||_2 wins:

    two-sided:   l_i = min v + i d,   u_i = max v - i d
    one-sided:   l_i = min v,         u_i = max v - i d      after softmax, GELU, ReLU

Algorithm 1 prints u + i d; it means u - i d. The released code has other ends and ties, and is always two-sided.

`search=joint` moves the two bounds independently (K x K pairs), so it need not decide what is one-sided; the paper
lists that decision as DOBI's limitation. Its pairs include every candidate of Algorithm 1.

`weighting=output` is not in the paper. The least error of a tensor is not the least error at the output of the network,
so it weighs each squared error by what it costs there: sum_i c_i (v - v_q)_i^2 instead of ||v - v_q||_2^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field

from sr_ptq_bench import Bounds, Distribution, PluginOptions, Site, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

ONE_SIDED = ("softmax", "gelu", "relu")


class Options(PluginOptions):
    """The numbers of Algorithm 1; `paper` follows the text, `official` the released code."""

    preset: Literal["paper", "official"] = "paper"
    K: int = Field(100, ge=1, description="number of search steps")
    search: Literal["line", "joint"] = Field("line", description="move both bounds together, or each on its own")
    one_sided: bool = Field(True, description="keep l = min for values after softmax, GELU and ReLU")
    last_step: bool = Field(True, description="candidates i = 0..K; without it 0..K-1")
    tie: Literal["first", "last"] = Field(
        "last", description="the candidate that wins among equals; the first is widest"
    )

    weighting: Literal["none", "output"] = Field(
        "none", description="weigh squared errors by what they cost at the network's output"
    )

    later = ("weighting",)

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Any]]:
        """The published text and the released code."""
        return {
            "paper": {"one_sided": True, "last_step": True, "tie": "last"},
            "official": {"one_sided": False, "last_step": False, "tie": "first"},
        }


@hookimpl
def srq_init_bounds(
    site: Site, distribution: Distribution, bits: int, output_cost: Callable[[], Tensor], options: Options
) -> Bounds:
    """Algorithm 1 on one site."""
    if options.weighting == "output":
        weighted = distribution.weighted(output_cost())
        distribution = weighted if weighted.counts.any() else distribution  # a tensor may not reach the output
    one_sided = options.one_sided and site.input_kind in ONE_SIDED and options.search == "line"
    lower, upper = candidates(distribution.minimum, distribution.maximum, one_sided, options)
    if options.search == "joint":
        lower, upper = lower.repeat_interleave(len(upper)), upper.repeat(len(lower))
    best = winner(distribution.squared_error(lower, upper, bits), options.tie)
    return Bounds(lower[best], upper[best])


def candidates(minimum: float, maximum: float, one_sided: bool, options: Options) -> tuple[Tensor, Tensor]:
    """All bounds that the search visits, widest first: l = min + i*d and u = max - i*d with d = (max - min)/(2K)."""
    i = torch.arange(options.K + options.last_step, dtype=torch.float64)
    step = (maximum - minimum) / (2 * options.K)
    lower = minimum + i * (0.0 if one_sided else step)
    return lower, torch.maximum(lower, maximum - i * step)  # rounding may carry the last u below l


def winner(errors: Tensor, tie: str) -> int:
    """Index of the least error, (K,) -> one number."""
    least = (errors == errors.min()).nonzero()
    return int(least[0 if tie == "first" else -1])
