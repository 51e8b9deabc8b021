"""A checkpoint that spandrel recognises is a backbone; everything else is refused in one line."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from checkpoints import ARCHITECTURES, SIDE, WITH_ATTENTION, loaded, network, write
from oracle import images
from safetensors.torch import save_file
from tiny import FILE, write_images
from torch import nn

from sr_ptq_bench import Bits
from sr_ptq_bench.backbones import spandrel as backbone
from sr_ptq_bench.backbones.spandrel import srq_load_model
from sr_ptq_bench.backbones.swinir import REBUILT, new_network
from sr_ptq_bench.backbones.swinir import srq_load_model as load_swinir
from sr_ptq_bench.errors import SrqError
from sr_ptq_bench.protocol.suite import SUITES
from sr_ptq_bench.quantization.network import with_scope
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.student import quantizers_off
from sr_ptq_bench.records.files import read_record
from sr_ptq_bench.storage.weights import fill, read_weights

WEIGHTS = SUITES.parents[1] / "weights" / "swinir_light_x2.safetensors"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_network_computes_what_spandrel_s_own_call_does(name, tmp_path):
    model = loaded(name, 2, tmp_path)
    from spandrel import ModelLoader

    descriptor = ModelLoader().load_from_state_dict(read_weights(tmp_path / "network.safetensors"))
    lr = images(1, SIDE, 24)
    with torch.no_grad():
        torch.testing.assert_close(model(lr).clamp(0, 1), descriptor(lr))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_without_quantization_the_student_is_the_teacher_to_the_last_bit(name, tmp_path):
    model = loaded(name, 4, tmp_path)
    student = quantize(model, Bits.parse("4"))
    lr = images(2, SIDE, 24)
    with torch.no_grad(), quantizers_off(student):
        assert torch.equal(student(lr), model(lr))
        assert student(lr).shape == (2, 3, 4 * SIDE, 96)


def test_swinir_light_s_weights_give_the_built_in_backbone_s_output(tmp_path):
    complete = new_network(2)
    fill(complete, WEIGHTS, rebuilt=REBUILT)
    theirs = srq_load_model(name="spandrel", scale=2, weights=write(complete, tmp_path))
    ours = load_swinir(name="swinir-light", scale=2, weights=WEIGHTS)
    lr = images(1, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs(lr), ours(lr), rtol=0, atol=1e-5)
    assert theirs.features == tuple(f"layers.{group}" for group in range(4))
    expected = {layer.replace("qkv.q", "qkv"): input_kind for layer, input_kind in ours.input_kinds.items()}
    for layer, input_kind in theirs.input_kinds.items():
        # A residual group ends in a sum of a Linear layer's output and, but for the first group, a convolution's.
        assert input_kind == expected[layer] or (input_kind, expected[layer]) == ("conv", "linear")


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("rcan", "span")])
def test_every_linear_and_conv2d_layer_is_a_site(name, tmp_path):
    model = loaded(name, 2, tmp_path)
    layers = {path for path, of in model.network.named_modules() if isinstance(of, nn.Linear | nn.Conv2d)}
    assert set(model.input_kinds) == layers
    assert model.first_last_layers == ("conv_first", "upsample.0") or name not in ("swinir", "dat")


@pytest.mark.parametrize("name", sorted({"compact", "esrgan", *WITH_ATTENTION} - {"atd"}))
def test_nothing_of_these_is_left_out(name, tmp_path):
    assert loaded(name, 2, tmp_path).unquantized_ops == ""


def test_keys_and_values_from_a_learned_dictionary_are_said_to_be_activations(tmp_path):
    """ATD's first layer makes them of a parameter alone."""
    assert loaded("atd", 2, tmp_path).unquantized_ops == (
        "the parameters behind 2 operands that do not depend on the image, "
        "layers.*.residual_group.layers.*.attn_atd.matmul*.b, which have the bits of activations"
    )


def test_convolutions_that_only_shift_the_mean_are_no_sites_and_are_named(tmp_path):
    model = loaded("rcan", 2, tmp_path)
    assert model.first_last_layers == ("head.0", "tail.1")
    assert "2 products" in model.unquantized_ops
    assert model.unquantized_ops.endswith("in MeanShift sub_mean, MeanShift add_mean")


def test_layers_whose_weights_are_rewritten_are_no_sites(tmp_path):
    model = loaded("span", 2, tmp_path)
    assert list(model.input_kinds) == ["conv_cat", "upsampler.0"]
    assert "Conv3XC block_*.c*_r" in model.unquantized_ops


def test_sizes_are_the_descriptor_s(tmp_path):
    model = loaded("swinir", 2, tmp_path)
    assert (model.size_multiple, model.min_side) == (1, 16)
    with pytest.raises(SrqError, match="an image of 20x15 pixels is too small; 'spandrel' takes 16 or more"):
        model(images(1, 15, 20))


def test_names(tmp_path):
    weights = write(network("compact"), tmp_path)
    assert srq_load_model(name="spandrel-mine", scale=2, weights=weights).name == "spandrel-mine"
    assert srq_load_model(name="spandrels", scale=2, weights=weights) is None


def test_another_scale_is_refused(tmp_path):
    with pytest.raises(SrqError, match=r"\(HAT\) are for x4; name them under that scale, not x2"):
        srq_load_model(name="spandrel", scale=2, weights=write(network("hat", 4), tmp_path))


def test_tensors_of_no_architecture_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "network.safetensors")
    with pytest.raises(SrqError, match="knows no architecture with the tensors of"):
        srq_load_model(name="spandrel", scale=2, weights=tmp_path / "network.safetensors")


def test_tensors_that_do_not_fit_their_architecture_are_refused(tmp_path):
    tensors = dict(network("swinir").state_dict())
    tensors["conv_first.bias"] = torch.zeros(5)
    save_file(tensors, tmp_path / "network.safetensors")
    with pytest.raises(SrqError, match=r"cannot load weights .*conv_first\.bias"):
        srq_load_model(name="spandrel", scale=2, weights=tmp_path / "network.safetensors")


def test_values_that_are_not_finite_are_refused(tmp_path):
    module = network("compact")
    next(module.parameters()).data[0] = torch.nan
    with pytest.raises(SrqError, match="values that are not finite"):
        srq_load_model(name="spandrel", scale=2, weights=write(module, tmp_path))


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    torch.save({"a": SimpleNamespace()}, tmp_path / "network.pth")
    with pytest.raises(SrqError, match="holds more than tensors"):
        srq_load_model(name="spandrel", scale=2, weights=tmp_path / "network.pth")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"purpose": "Restoration"}, "are for Restoration"),
        ({"input_channels": 1}, "take 1 channels and make 3"),
        ({"output_channels": 4}, "take 3 channels and make 4"),
        ({"size_requirements": SimpleNamespace(square=True)}, "square images alone"),
    ],
)
def test_other_purposes_are_refused(change, said):
    network = {"purpose": "SR", "input_channels": 3, "output_channels": 3, "scale": 2}
    descriptor = SimpleNamespace(**network | {"size_requirements": SimpleNamespace(square=False)} | change)
    with pytest.raises(SrqError, match=said):
        backbone._check(descriptor, 2, "weights")


def test_a_network_that_spandrel_wraps_is_refused(tmp_path, monkeypatch):
    module = network("compact")
    from spandrel import ModelLoader

    descriptor = ModelLoader().load_from_state_dict(module.state_dict())
    monkeypatch.setattr(descriptor, "_call_fn", lambda network, lr: network(lr) / 2 + 1)
    with pytest.raises(SrqError, match="alone does not compute what spandrel does with it"):
        backbone.open_sites(descriptor, "spandrel")


def suite_of(tiny_suite, folder, size, architecture="swinir"):
    """The tiny suite with a network of spandrel's and images large enough for it."""
    write_images(folder / "test", one=(40, 36))
    return tiny_suite.change(
        model="spandrel",
        weights={"2": str(write(network(architecture), folder))},
        calibration=tiny_suite.table["calibration"] | {"size": size},
        test={"noise": {"hr": str(folder / "test")}},
    )


@pytest.mark.parametrize(
    ("architecture", "scope", "short", "description"),
    [
        ("swinir", "linear", "linear+matmul", "Linear layers and the operands of matrix products; convolutions and"),
        ("swinir", "all", "all", "convolutions, Linear layers and the operands of matrix products; LayerNorm and"),
        ("dat", "linear", "linear+matmul", "; convolutions, BatchNorm and LayerNorm stay FP"),
        ("rcan", "all", "linear+conv", "as do 2 products with"),
    ],
)
def test_a_run_says_what_it_quantizes(architecture, scope, short, description, srq, tiny_suite, tmp_path):
    asked = ("-m", "minmax", "-b", 4, "-s", 2, "--scope", scope, "--out", tmp_path / "out")
    suite = suite_of(tiny_suite, tmp_path, 16, architecture)
    outcome = srq("run", "--suite", suite, "--plugin", FILE, *asked)
    assert outcome.status == 0, outcome.err
    assert outcome.err.startswith("Not quantized: 2 products with ") == (architecture == "rcan")
    (path,) = (tmp_path / "out").rglob("*.json")
    record = read_record(path)
    assert record.scope.short == short
    assert description in record.scope.description
    assert "spandrel" in json.loads(path.read_text())["environment"]["versions"]


def test_calibration_patches_below_the_network_s_least_size_are_refused(srq, tiny_suite, tmp_path):
    asked = ("-m", "minmax", "-b", 4, "-s", 2, "--out", tmp_path / "out")
    outcome = srq("run", "--suite", suite_of(tiny_suite, tmp_path, size=8), "--plugin", FILE, *asked)
    assert outcome.status == 2
    assert "calibration patches of 8 are smaller than the 16 pixels that 'spandrel' needs" in outcome.err


def test_a_scope_without_layers_is_refused(tmp_path):
    with pytest.raises(SrqError, match="all its layers are convolutions"):
        with_scope(loaded("compact", 2, tmp_path), "linear")
