"""One bit-width for every site, with the least total error under means of bits: a mixed-integer program.

Site s has x_sb in {0, 1}, which says whether it gets b bits, sum over b of x_sb = 1, and so w_s = sum b x_sb bits:

    least    sum error(s, b) x_sb
    with     sum n_s w_s <= mean * sum n_s            for every mean, n_s the numbers at the site
             sum m_p y_p <= nominal,  y_p >= w_s      for m_p multiply-accumulates of product p of two sites s
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from sr_ptq_bench import SrqError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDTHS = tuple(range(2, 9))
GAP = 1e-4
"""How far, relatively, the total error may be from the least one."""
GAP_OF_PRODUCTS = 1e-2
"""The same for a program with products: 384 sites take seconds instead of minutes."""
LARGEST = 1e6
"""What the largest error is scaled to: HiGHS also stops at an absolute gap of 1e-6."""


class Mean(NamedTuple):
    """The mean of bits over the numbers at the sites, (S,), is at most `bits`."""

    sizes: Sequence[int]
    bits: float

    def broken(self, widths: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """The sites to narrow, (S,); None if the mean is kept."""
        sizes = np.asarray(self.sizes, float)
        return sizes > 0 if sizes @ widths > self.bits * sizes.sum() else None


class Macs(NamedTuple):
    """Products of two sites, with their multiply-accumulates, (P,), and the most bits that all of these have."""

    pairs: Sequence[tuple[int, int]]
    counts: Sequence[int]
    nominal: int

    def broken(self, widths: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """As `Mean.broken`: the sites that are the wider one of a product."""
        pairs = np.asarray(self.pairs)
        wider = widths[pairs].max(axis=1)
        if int(np.asarray(self.counts) @ wider) <= self.nominal:
            return None
        sites = np.zeros(len(widths), bool)
        sites[pairs[widths[pairs] == wider[:, None]]] = True
        return sites


def allocate(errors: Sequence[Sequence[float]], means: Sequence[Mean], macs: Macs | None = None) -> list[int]:
    """The widths of S sites with the least total error, (S, 7); raises SrqError if there are none."""
    error = np.asarray(errors, float)
    products = len(macs.pairs) if macs else 0
    result = milp(
        np.concatenate([(error / (error.max() or 1.0) * LARGEST).ravel(), np.zeros(products)]),
        integrality=np.repeat([1, 0], [error.size, products]),
        bounds=Bounds(0, np.repeat([1, WIDTHS[-1]], [error.size, products])),
        constraints=_constraints(len(error), means, macs),
        options={"mip_rel_gap": GAP_OF_PRODUCTS if macs else GAP},
    )
    if result.x is None:
        limits = ", ".join(f"{mean.bits:g}" for mean in means)
        raise SrqError(f"no choice of bits with means of {limits}: {result.message}")
    index = result.x[: error.size].reshape(error.shape).argmax(axis=1)
    return _narrowed(index, error, [*means, *([macs] if macs else [])])


def _constraints(sites: int, means: Sequence[Mean], macs: Macs | None) -> list[LinearConstraint]:
    products = len(macs.pairs) if macs else 0
    width = np.kron(np.eye(sites), np.asarray(WIDTHS, float))  # (S, 7 S): from x to w
    none = np.zeros((sites, products))
    found = [LinearConstraint(np.hstack([np.kron(np.eye(sites), np.ones(len(WIDTHS))), none]), 1, 1)]
    for mean in means:
        sizes = np.asarray(mean.sizes, float)
        row = np.concatenate([sizes / sizes.sum() @ width, np.zeros(products)])
        found.append(LinearConstraint(row[None], ub=mean.bits))
    if macs:
        counts = np.asarray(macs.counts, float)
        row = np.concatenate([np.zeros(width.shape[1]), counts / counts.sum()])
        found.append(LinearConstraint(row[None], ub=macs.nominal / counts.sum()))
        for operand in zip(*macs.pairs, strict=True):
            found.append(LinearConstraint(np.hstack([width[list(operand)], -np.eye(products)]), ub=0))
    return found


def _narrowed(index: NDArray[np.int64], error: NDArray[np.float64], limits: Sequence[Mean | Macs]) -> list[int]:
    """HiGHS keeps a constraint up to 1e-6 only: take bits where they are missed least until all are kept."""
    sites = np.arange(len(index))
    for limit in limits:
        while (broken := limit.broken(index + WIDTHS[0])) is not None:
            lost = error[sites, index - 1] - error[sites, index]
            index[np.where(broken & (index > 0), lost, np.inf).argmin()] -= 1
    return [WIDTHS[each] for each in index]
