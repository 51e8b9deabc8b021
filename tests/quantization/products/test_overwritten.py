"""What is quantized in place is what nothing else reads."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from around import W4A4, model_of, with_bounds
from oracle import images
from torch import Tensor, nn

from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.tracing.open_network import open_network


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda _m, x: torch.softmax((x @ x.transpose(1, 2)) * 2 + 1, -1) @ x, [(False, False), (True, False)]),
        (lambda _m, x: torch.softmax((x * 2) @ (x + 1).transpose(1, 2), -1) @ (x * 3), [(True, True), (True, True)]),
        (lambda _m, x: _read_again(torch.softmax((x * 2) @ x.transpose(1, 2), -1), x), [(True, False), (False, False)]),
        (lambda _m, x: _both(x * 2), [(False, False)]),
    ],
)
def test_only_what_nothing_else_reads_may_be_overwritten(function, expected) -> None:
    model, x = model_of(function), images(1, 8)
    assert [(p.a.inplace, p.b.inplace) for p in model.products.values()] == expected
    student = with_bounds(quantize(model, W4A4))
    with torch.no_grad():
        found = student(x)
        for quantizer in student.quantizers.values():
            quantizer.inplace = False
        assert torch.equal(student(x), found)


class Windows(nn.Module):
    """Attention over windows of 8 x 8: for an image of one window, the rearranged tensor is the image itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.q, self.v, self.tail = nn.Conv2d(3, 4, 1), nn.Linear(4, 4), nn.Linear(4, 4), nn.Conv2d(4, 12, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.head(image).movedim(1, -1).contiguous()
        n, h, w, c = x.shape
        rows = x.view(n, h // 8, 8, w // 8, 8, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 64, c)
        normal = F.normalize(rows, dim=-1)
        mixed = (rows @ self.q(normal).transpose(1, 2)).softmax(-1) @ self.v(normal)
        mixed = mixed.view(n, h // 8, w // 8, 8, 8, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return F.pixel_shuffle(self.tail((x + mixed).movedim(-1, 1)), 2)


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (8, 16), (16, 16)])
def test_what_is_read_again_only_in_a_small_image_is_not_overwritten(size: tuple[int, int]) -> None:
    student = with_bounds(quantize(open_network(Windows(), "any", 2, size_multiple=8), W4A4))
    lr = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = student(lr)
    assert torch.equal(student(lr).detach(), found)  # with gradients nothing is overwritten


def _both(x: Tensor) -> Tensor:
    return x @ x[:, :4]


def _read_again(attention: Tensor, x: Tensor) -> Tensor:
    return attention @ x + attention.sum(-1, keepdim=True)
