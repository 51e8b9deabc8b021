"""The examples of the pages work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doc_pages import HOOKS, HOOKS_PAGE, blocks, hook_sections, marked
from safetensors.torch import save_file
from training import Forgetful, supply, teacher_and_student

import sr_ptq_bench
from sr_ptq_bench import Bits, Distribution, Site, Suite
from sr_ptq_bench.data.patches import Batches
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize

INSTALLED = Plugins()


@pytest.mark.parametrize("number", range(len(blocks(HOOKS_PAGE, "python"))))
def test_every_block_of_the_hooks_page_runs(number: int) -> None:
    scope: dict[str, Any] = {"__name__": "block"}
    exec(blocks(HOOKS_PAGE, "python")[number], scope)
    assert {"hookimpl", "capture", "PluginOptions", "MethodConformance"} & set(scope)


def test_the_method_in_one_file_works(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(marked("method in one file"), encoding="utf-8")
    distribution = Distribution.of_tensor(torch.tensor([-10.0, *[-1.0] * 50, *[1.0] * 50, 2.0]))
    plugins = Plugins([path])
    wide = resolve_method(plugins, "mine", {"width": "100"}).init_bounds(
        Site("x", "activation", "linear"), distribution, 4
    )
    assert (wide.lower, wide.upper) == (-10.0, 2.0)
    bounds = resolve_method(plugins, "mine", {}).init_bounds(Site("x", "activation", "linear"), distribution, 4)
    assert -10 < float(bounds.lower) < float(bounds.upper) == 2.0
    assert resolve_method(plugins, "mine+dqc", {}).components == ("mine", "dqc")


def test_the_first_method_of_the_hooks_page_works(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(blocks(HOOKS_PAGE, "python")[0], encoding="utf-8")
    method = resolve_method(Plugins([tmp_path / "mine.py"]), "mine", {})
    distribution = Distribution.of_tensor(torch.arange(1000.0))
    bounds = method.init_bounds(Site("x", "activation", "linear"), distribution, 4)
    assert (bounds.lower, bounds.upper) == (9.0, 989.0)


def test_the_suite_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(marked("suite"), encoding="utf-8")
    suite = Suite.load(str(path))
    assert suite.weights[2] == Path(sr_ptq_bench.__file__).parent / "weights/swinir_light_x2.safetensors"
    assert suite.networks["edsr-baseline"][2] == suite.weights[2].with_name("edsr_baseline_x2.safetensors")  # type: ignore[union-attr]
    assert suite.test["cats"].photos == ("chelsea",)
    assert resolve_method(INSTALLED, "2dquant", {}, suite.options).options["dqc"].iterations == 300  # type: ignore[union-attr]


def test_the_hooks_examples_work_together(tmp_path: Path) -> None:
    paths = []
    for hook, section in hook_sections().items():
        (example,) = blocks(section, "python")
        paths.append(tmp_path / f"my_{hook}.py")
        paths[-1].write_text(example, encoding="utf-8")
    plugins = Plugins(paths)
    for hook in HOOKS:
        assert hook in plugins.plugins[f"my_{hook}"].hooks()
    assert resolve_method(plugins, "my_srq_compose", {}).components == ("percentile", "dqc")

    generator = torch.Generator().manual_seed(0)
    weights = {"0.weight": torch.randn(12, 3, 3, 3, generator=generator), "0.bias": torch.zeros(12)}
    save_file(weights, tmp_path / "w.safetensors")
    teacher = plugins.load_model("one-convolution", 2, tmp_path / "w.safetensors")[0]
    parts = ("choose_bits", "transform_model", "make_quantizer", "init_bounds", "calibrate")
    method = resolve_method(plugins, "+".join(f"my_srq_{part}" for part in parts), {})
    photo = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    batches = Batches(photo[None, :32, :32], [photo])
    bits = Bits.parse("4")
    assert method.choose_bits(quantize(teacher, bits), batches, bits) == {}
    student = quantize(teacher, bits, method.make_quantizer)
    method.transform(student, batches)
    limit = 4 * weights["0.weight"].std()
    assert torch.equal(student.weights["0.weight"], weights["0.weight"].clamp(-limit, limit))
    for name, distribution in observe(student, batches.fixed).items():
        quantizer = student.quantizers[name]
        method.initialize(quantizer, distribution)
    assert student.quantizers["0.weight"].lower.shape == (12,)
    figures = method.calibrate(student, teacher, batches, lambda *_: None, Forgetful())
    assert figures["checkpoint"] == "last"
    assert plugins.evaluate(photo, photo, 2)["mae"] == 0


def test_the_options_of_the_hooks_page(tmp_path: Path) -> None:
    (example,) = blocks(HOOKS_PAGE.partition("## Give it options")[2].partition("\n## ")[0], "python")
    hook = "from sr_ptq_bench import hookimpl\n\n\n@hookimpl\ndef srq_calibrate():\n    return None\n"
    (tmp_path / "mine.py").write_text(f"{example}\n\n{hook}", encoding="utf-8")
    plugins = Plugins([tmp_path / "mine.py"])
    assert plugins.options("mine", {"p": "0.25"}).p == 0.25  # type: ignore[union-attr]
    assert plugins.options("mine", {}).p == 1e-3  # type: ignore[union-attr]
    assert plugins.options("mine", {"preset": "tight"}).p == 1e-2  # type: ignore[union-attr]


def test_the_bits_of_the_hooks_page(tmp_path: Path) -> None:
    (example,) = blocks(hook_sections()["srq_choose_bits"], "python")
    (tmp_path / "by_size.py").write_text(example, encoding="utf-8")
    method = resolve_method(Plugins([tmp_path / "by_size.py"]), "minmax+by_size", {})
    _, student = teacher_and_student("4")
    chosen = method.choose_bits(student, supply(), Bits.parse("4"))  # raises if the mean is too large
    assert {3, 5} == set(chosen.values())
    assert method.choose_bits(student, supply(), Bits.parse("2")) == {}


def test_the_logarithmic_quantizer_of_the_hooks_page(tmp_path: Path) -> None:
    (example,) = blocks(hook_sections()["srq_make_quantizer"], "python")
    (tmp_path / "log.py").write_text(example, encoding="utf-8")
    method = resolve_method(Plugins([tmp_path / "log.py"]), "minmax+log", {})
    site = Site("attention", "activation", "softmax")
    quantizer = method.make_quantizer(site, 2)
    assert quantizer is not None
    values = torch.tensor([0.0, 0.1, 0.3, 0.6, 1.0])
    method.initialize(quantizer, Distribution.of_tensor(values))
    assert quantizer(values).tolist() == pytest.approx([0.125, 0.125, 0.25, 0.5, 1.0])
    method.initialize(quantizer, Distribution.of_tensor(torch.tensor([0.512, 0.64, 1.0])))
    assert quantizer(torch.tensor([0.5, 0.85, 1.0])).tolist() == pytest.approx([0.512, 0.8, 1.0])


def test_the_grams_of_the_hooks_page() -> None:
    (example,) = blocks(HOOKS_PAGE.partition("## What a layer sees")[2].partition("\n## ")[0], "python")
    scope: dict[str, Any] = {}
    exec(example, scope)
    teacher, student = teacher_and_student("4")
    grams = scope["grams"](student, supply())
    name = next(name for name in grams if name.endswith("fc1.input"))
    seen: list[torch.Tensor] = []
    layer = teacher.network.get_submodule(name.removesuffix(".input"))
    layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, -2).double()))
    for lr in supply().fixed():
        teacher(lr)
    assert torch.allclose(grams[name], torch.cat(seen).T @ torch.cat(seen), rtol=1e-12)
