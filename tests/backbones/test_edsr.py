"""EDSR and MSRResNet are BasicSR's, and every convolution of theirs is a site."""

from __future__ import annotations

import copy

import pytest
import torch
from oracle import bounded, edsr, images, msrresnet, sites_of
from safetensors.torch import save_file
from torch import nn

from sr_ptq_bench.backbones.edsr import NAMES, edsr_pytorch_names, new_network, open_sites, srq_load_model
from sr_ptq_bench.basicsr_compat import EDSR, MSRResNet
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.bits import Bits
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off

W4A4 = Bits(weight=4, activation=4)
NETWORKS = {"edsr": edsr, "msrresnet": msrresnet}
PARAMETERS = {"edsr": 40_729_603, "edsr-baseline": 1_369_859, "msrresnet": 1_369_859}

EDSR_X4 = {
    "conv_first": "image",
    "body.0.conv1": "conv",
    "body.0.conv2": "relu",
    "body.1.conv1": "conv",
    "body.1.conv2": "relu",
    "conv_after_body": "conv",
    "upsample.0": "conv",
    "upsample.2": "conv",
    "conv_last": "conv",
}
MSRRESNET_X4 = {
    "conv_first": "image",
    "body.0.conv1": "leakyrelu",
    "body.0.conv2": "relu",
    "body.1.conv1": "conv",
    "body.1.conv2": "relu",
    "upconv1": "conv",
    "upconv2": "leakyrelu",
    "conv_hr": "leakyrelu",
    "conv_last": "leakyrelu",
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (5, 8)])
def test_the_same_output_to_the_last_bit(kind, scale, size):
    plain = NETWORKS[kind](scale=scale)
    model = open_sites(copy.deepcopy(plain), kind, scale)
    student = quantize(model, W4A4)
    lr = images(2, *size)
    with torch.no_grad(), quantizers_off(student):
        expected = plain(lr)
        assert expected.shape == (2, 3, scale * size[0], scale * size[1])
        assert torch.equal(model(lr), expected)
        assert torch.equal(student(lr), expected)


@pytest.mark.parametrize("kind", NETWORKS)
def test_quantizers_change_the_output(kind):
    model, lr = open_sites(NETWORKS[kind](), kind, 2), images(1, 8)
    with torch.no_grad():
        assert not torch.equal(bounded(model, "2", lr)(lr), model(lr))


@pytest.mark.parametrize(("kind", "expected"), [("edsr", EDSR_X4), ("msrresnet", MSRRESNET_X4)])
def test_what_makes_the_input_of_each_layer(kind, expected):
    model = open_sites(NETWORKS[kind](scale=4), kind, 4)
    assert model.input_kinds == expected
    assert {site.name for site in sites_of(quantize(model, W4A4))} == {
        f"{layer}.{tensor}" for layer in expected for tensor in ("weight", "input")
    }


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_no_input_is_below_what_its_producer_allows(kind, scale):
    """An image is in [0, 1] or, less its mean, not far from it; a ReLU leaves nothing below 0, a leaky one little."""
    student = quantize(open_sites(NETWORKS[kind](scale=scale), kind, scale), W4A4)
    least: dict[str, list[float]] = {}
    for quantizer in student.quantizers.values():
        quantizer.enabled = False
        keep = lambda _m, inputs, site=quantizer.site: least.setdefault(site.input_kind, []).append(inputs[0].min())  # noqa: E731
        quantizer.register_forward_pre_hook(keep)
    student(images(2, 16))
    assert min(least["relu"]) == 0
    assert all(low < 0 for low in least["conv"])
    assert all(low < 0 for low in least.get("leakyrelu", []))


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_features_are_the_outputs_of_the_residual_blocks(kind):
    model, lr = open_sites(NETWORKS[kind](blocks=3), kind, 2), images(2, 6)
    assert model.features == ("body.0", "body.1", "body.2")
    _, features = model.with_features(lr)
    assert [feature.shape for feature in features] == [(2, 4, 6, 6)] * 3
    assert torch.equal(model.network.get_submodule("body.2")(features[1]), features[2])


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_edges_are_the_first_and_the_last_convolution(kind):
    model = open_sites(NETWORKS[kind](scale=4), kind, 4)
    assert model.first_last_layers == ("conv_first", "conv_last")
    edges = [site.name for site in sites_of(quantize(model, W4A4)) if site.edge]
    assert edges == ["conv_first.weight", "conv_first.input", "conv_last.weight", "conv_last.input"]


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_network_is_ready_for_evaluation(kind):
    model = open_sites(NETWORKS[kind]().train(), kind, 2)
    assert (model.size_multiple, model.scope) == (1, "all")
    assert not any(module.training for module in model.network.modules())
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes(name):
    with torch.device("meta"):
        network = new_network(name, 2)
    assert isinstance(network, MSRResNet if name == "msrresnet" else EDSR)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    assert network.body[0].res_scale == (0.1 if name == "edsr" else 1)
    if name != "msrresnet":
        assert network.img_range == 255
        assert network.mean.shape == (1, 3, 1, 1)


def test_edsr_baseline_s_sites():
    student = quantize(open_sites(new_network("edsr-baseline", 4), "edsr-baseline", 4), W4A4)
    assert len(student.quantizers) == 2 * (1 + 2 * 16 + 1 + 2 + 1)
    assert len(student.model.features) == 16
    assert sum(weight.numel() for weight in student.weights.values()) == 9 * (64 * 64 * (33 + 8) + 2 * 3 * 64)


# Weights


@pytest.fixture
def baseline() -> nn.Module:
    torch.manual_seed(1)
    return new_network("edsr-baseline", 4)


def as_edsr_pytorch(network: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors as EDSR-PyTorch stores them."""
    ours = network.state_dict()
    names = {ours: theirs for theirs, ours in edsr_pytorch_names(network).items()}
    mean = 255 * torch.tensor([0.4488, 0.4371, 0.4040])
    shifts = {
        f"{kind}_mean.{part}": value
        for kind, bias in (("sub", -mean), ("add", mean))
        for part, value in (("weight", torch.eye(3).view(3, 3, 1, 1)), ("bias", bias))
    }
    return {names[name]: tensor for name, tensor in ours.items()} | shifts


def loaded(path, name="edsr-baseline", scale=4):
    model = srq_load_model(name=name, scale=scale, weights=path)
    assert model is not None
    return model


def test_names_of_edsr_pytorch():
    names = edsr_pytorch_names(edsr(blocks=2, scale=4))
    assert {theirs: ours for theirs, ours in names.items() if theirs.endswith("weight")} == {
        "head.0.weight": "conv_first.weight",
        "body.0.body.0.weight": "body.0.conv1.weight",
        "body.0.body.2.weight": "body.0.conv2.weight",
        "body.1.body.0.weight": "body.1.conv1.weight",
        "body.1.body.2.weight": "body.1.conv2.weight",
        "body.2.weight": "conv_after_body.weight",
        "tail.0.0.weight": "upsample.0.weight",
        "tail.0.2.weight": "upsample.2.weight",
        "tail.1.weight": "conv_last.weight",
    }


@pytest.mark.parametrize("form", ["safetensors", "params", "params_ema", "bare", "edsr-pytorch"])
def test_weights_load_in_every_form(baseline, tmp_path, form):
    tensors = as_edsr_pytorch(baseline) if form == "edsr-pytorch" else baseline.state_dict()
    path = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file(tensors, path)
    else:
        torch.save({form: tensors} if form.startswith("params") else tensors, path)
    stored, model = baseline.state_dict(), loaded(path)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in model.network.state_dict().items())


def test_msrresnet_loads(tmp_path):
    torch.manual_seed(1)
    network = new_network("msrresnet", 3)
    torch.save({"params": network.state_dict()}, tmp_path / "weights.pth")
    lr = images(1, 4)
    with torch.no_grad():
        assert torch.equal(loaded(tmp_path / "weights.pth", "msrresnet", 3)(lr), network(lr))


@pytest.mark.parametrize(("name", "scale"), [("edsr-baseline", 2), ("edsr-baseline", 3), ("msrresnet", 4)])
def test_weights_of_another_network_or_scale_are_refused(baseline, tmp_path, name, scale):
    save_file(baseline.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(SrqError, match="they belong to another network"):
        srq_load_model(name=name, scale=scale, weights=tmp_path / "weights.safetensors")


def test_another_name_is_left_to_other_plugins(tmp_path):
    assert srq_load_model(name="swinir-light", scale=2, weights=tmp_path / "none") is None
