"""GPTQ (Frantar et al., ICLR 2023): second-order rounding of weights, with bounds from any initializer: `dobi+gptq`.

Column after column of a layer's weights (O, I) is rounded to the levels of its quantizer, and the error is spread over
the columns that follow so that the layer's output on the calibration patches moves least. With H = XᵀX + damp mean(diag
XᵀX) I and the upper Cholesky factor U of H^-1, column j is rounded to q_j (eq. 2 and 3 in the paper's factored form):

    e = (w_j - q_j) / U_jj,   W_k <- W_k - e U_jk   for k > j

Differences from the paper: bounds come from the initializer, not from the weights of a group; all layers see inputs of
one pass, in which no layer has been rounded yet; the paper's blocks of 128 columns give the same result and only save
trips to memory, which such small layers do not need. A convolution is the matrix that its unfolded patches meet.
Grouped convolutions and weights that are operands of a product keep their rounding to nearest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from sr_ptq_bench import (
    Batches,
    CalibrationLog,
    PluginOptions,
    Progress,
    Quantizer,
    Student,
    hookimpl,
)

from .layers import input_grams

if TYPE_CHECKING:
    from torch import Tensor


class Options(PluginOptions):
    """The numbers of the paper."""

    damp: float = Field(0.01, gt=0, description="share of the mean diagonal of H that is added to it")
    inputs: Literal["quantized", "fp"] = Field("quantized", description="the network whose inputs make H")


@hookimpl
def srq_calibrate(student: Student, batches: Batches, options: Options, progress: Progress) -> CalibrationLog:
    """Round the weights of all layers; the log has the mean relative output error before and after."""
    before = after = 0.0
    grams = input_grams(student, batches, options.inputs)
    for done, (name, gram) in enumerate(grams.items()):
        progress(done, len(grams), name)
        weight, quantizer = student.weights[name], student.quantizers[name]
        with torch.no_grad():
            w = weight.detach().double().flatten(1)
            nearest = quantizer(weight.detach().clone()).double().flatten(1)
            rounded = second_order(w, gram, quantizer, options.damp)
            before += output_error(w, nearest, gram)
            after += output_error(w, rounded, gram)
            weight.copy_(rounded.view_as(weight))
    progress(len(grams), len(grams))
    layers = max(1, len(grams))
    return {"layers": len(grams), "error_nearest": before / layers, "error_gptq": after / layers}


def second_order(w: Tensor, gram: Tensor, quantizer: Quantizer, damp: float) -> Tensor:
    """Round (O, I) column by column under XᵀX (I, I), both float64; the levels are float32's."""
    w, columns = w.clone(), gram.shape[0]
    h = gram.clone()
    h.diagonal().add_(damp * gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny * 2**60))
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    for j in range(columns):
        rounded = quantizer(w[:, j : j + 1].float().contiguous()).double()
        error = (w[:, j : j + 1] - rounded) / factor[j, j]
        w[:, j + 1 :] -= error * factor[j, j + 1 :]
        w[:, j : j + 1] = rounded
    return w


def output_error(w: Tensor, rounded: Tensor, gram: Tensor) -> float:
    """||X (w - rounded)ᵀ||² / ||X wᵀ||², 0 for a layer without output."""
    d = rounded - w
    size = float(((w @ gram) * w).sum())
    return float(((d @ gram) * d).sum()) / size if size > 0 else 0.0
