"""The distinct levels of the sites of a student, on all images, and more than their bits refused."""

from __future__ import annotations

import pytest
import torch
from tiny import Tiny

from sr_ptq_bench import Bits, Bounds, Quantizer, SRModel, SrqError
from sr_ptq_bench.evaluation.levels import LARGEST, counted_levels
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.quantizer import Maker


class Unclamped(Quantizer):
    """As CompSRT's released code: the step is widened, and codes are not clamped."""

    def quantize(self, v):
        return (v / self.upper).round() * self.upper


class Announced(Unclamped):
    levels_bounded = False


class Mirrored(Quantizer):
    """Rounds in a space of its own, here that of running sums."""

    def quantize(self, v):
        return super().quantize(v.cumsum(-1)).diff(dim=-1, prepend=torch.zeros_like(v[..., :1]))

    def levels_of(self, v_q):
        return v_q.cumsum(-1)


def student(make=Quantizer, sites=("fc1.input",), bits=2):
    teacher = SRModel("tiny", 2, Tiny(2).eval().requires_grad_(False), {"fc1": "conv", "fc2": "gelu"}, ())
    made = quantize(
        teacher, Bits(weight=bits, activation=bits), lambda site, b: make(site, b) if site.name in sites else None
    )
    for quantizer in made.quantizers.values():
        quantizer.set_bounds(Bounds(-0.1, 0.1))
    return made


def levels_of(made, *images):
    with torch.inference_mode(), counted_levels(made) as levels:
        for image in images or (picture(0),):
            made(image)
    return levels


def picture(seed):
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_every_site_is_counted():
    made = student()
    counts = levels_of(made).counts()
    assert counts.keys() == made.quantizers.keys()
    assert set(counts.values()) <= {1, 2, 3, 4}


def test_a_site_with_more_levels_than_its_bits_is_refused():
    levels = levels_of(student(Unclamped))
    count = levels.counts()["fc1.input"]
    assert count > 4
    with pytest.raises(SrqError) as caught:
        levels.check()
    assert str(caught.value).startswith(f"site fc1.input has {count} distinct levels; 2 bits have 4 at most. ")


def test_levels_without_an_axis_for_channels_name_the_plugin():
    class Flat(Quantizer):
        levels_per_channel = True

        def levels_of(self, v_q):
            return v_q.unique()

    made = student(Flat)
    made.quantizers["fc1.input"].maker = Maker("mine", "1.0")
    with pytest.raises(SrqError, match=r"plugin 'mine' fails in levels_of, site fc1\.input"):
        levels_of(made)


def test_levels_that_are_not_finite_are_refused():
    """Otherwise a tensor with a zero would not be counted at all."""

    class Logarithm(Quantizer):
        def levels_of(self, v_q):
            return v_q.abs().log2()

    made = student(Logarithm)
    with torch.no_grad():
        made.quantizers["fc1.input"].lower.zero_()
    with pytest.raises(SrqError, match="levels_of gives numbers that are not finite for a result that is"):
        levels_of(made)


def test_bounds_per_channel_of_every_input():
    made = student()
    for name, quantizer in made.quantizers.items():
        if name in ("fc1.input", "fc2.input"):
            channels = made.weights[name.replace("input", "weight")].shape[1]
            quantizer.set_bounds(Bounds(torch.zeros(channels), torch.linspace(0.1, 1, channels)))
    levels = levels_of(made)
    levels.check()
    assert levels.counts()["fc1.input"] > 1


def test_a_weight_with_more_levels_is_refused_before_any_image():
    with (
        counted_levels(student(Unclamped, ["fc2.weight"])) as levels,
        pytest.raises(SrqError, match=r"site fc2\.weight has"),
    ):
        levels.check()


def test_levels_that_are_announced_are_counted_and_not_refused():
    levels = levels_of(student(Announced))
    levels.check()
    most = levels.most()
    assert most is not None
    assert (most.site, most.bits, most.levels) == ("fc1.input", 2, levels.counts()["fc1.input"])


def test_levels_in_the_space_in_which_a_quantizer_rounds():
    levels = levels_of(student(Mirrored))
    levels.check()
    assert 2 <= levels.counts()["fc1.input"] <= 4


def test_levels_of_all_images_count():
    """A quantizer with other levels in every image has too many in the end."""

    class Shifting(Quantizer):
        calls = 0

        def quantize(self, v):
            type(self).calls += 1
            return super().quantize(v) + self.calls

    made = student(Shifting)
    levels_of(made, picture(0)).check()
    with pytest.raises(SrqError, match=r"fc1\.input has"):
        levels_of(made, *map(picture, range(4))).check()


def test_counting_changes_no_output_and_leaves_no_hook():
    made = student(Unclamped)
    with torch.inference_mode():
        before = made(picture(0))
        with counted_levels(made):
            during = made(picture(0))
        assert torch.equal(before, during)
    assert not any(quantizer._forward_hooks for quantizer in made.quantizers.values())


def test_what_is_kept_does_not_grow_with_the_images():
    made = student(Unclamped)
    with torch.inference_mode(), counted_levels(made) as levels:
        for seed in range(40):
            made(picture(seed))
        assert all(len(grid._bins) <= LARGEST * 8 for grid in levels._grids.values())
