"""Center: every channel between a LayerNorm and the Linear layers that read it gets mean zero.

With m_c the mean of channel c over the calibration patches (the shift of Outlier Suppression+, Wei et al., EMNLP 2023,
which takes the middle of a channel's range),

    W y + b  =  W (y - m) + (b + W m)

so the network computes the same and costs the same. One pair of bounds for all channels has to span the means too; in
blocks of DAT-light they are a third to three quarters of the variance. An initializer follows: `center+dobi`. Norms
that others read too are left alone.
"""

from __future__ import annotations

import torch

from sr_ptq_bench import Batches, Student, hookimpl

from .norms import pairs, shiftable, watch


@hookimpl
def srq_transform_model(student: Student, batches: Batches) -> None:
    """Move the means of all channels into the biases of the layers."""
    lr = next(iter(batches.fixed(1)))
    with torch.no_grad():
        found = {pair.names[0]: pair for pair in shiftable(student, lr, pairs(student, lr))}
    sums = {name: torch.zeros(pair.norm.bias.shape, dtype=torch.float64) for name, pair in found.items()}
    rows = dict.fromkeys(found, 0)

    def see(name: str, y: torch.Tensor) -> None:
        sums[name] += y.flatten(0, -2).sum(0).cpu()
        rows[name] += y[..., 0].numel()

    watch(student, batches, found, see)
    for name, pair in found.items():
        means = (sums[name] / rows[name]).to(pair.norm.bias)
        pair.move(torch.ones_like(means), -means)
