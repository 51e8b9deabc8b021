"""What the documentation says is there, and its examples work."""

from __future__ import annotations

import hashlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
import torch
from oracle import swinir
from paper_counts import count_as_2dquant
from safetensors.torch import save_file
from training import Forgetful, supply, teacher_and_student

import sr_ptq_bench
from sr_ptq_bench import Bits, Distribution, Site, Student, Suite
from sr_ptq_bench.backbones.spandrel import DAT_MIN_SIDE, new_dat_light
from sr_ptq_bench.backbones.swinir import open_sites
from sr_ptq_bench.cli import srq
from sr_ptq_bench.data.patches import Batches
from sr_ptq_bench.hooks import specs as hookspecs
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.library.registry import Registry
from sr_ptq_bench.protocol.run_spec import parse_options
from sr_ptq_bench.protocol.suite import suite_names
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.runs.count import count
from sr_ptq_bench.tracing.open_network import open_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from sr_ptq_bench import SRModel
    from sr_ptq_bench.records.complexity import Complexity

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOOKS_PAGE = (ROOT / "docs/hooks.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "sr_ptq_bench/weights/README.md"])
HOOKS = [name for name in dir(hookspecs) if name.startswith("srq_")]
README_LINES = 120
INSTALLED = Plugins()


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def marked(name: str) -> str:
    """The code block that follows a comment, which one page has."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    found: list[str] = re.findall(rf"<!-- {re.escape(name)} -->\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, name
    return found[0]


def hook_sections() -> dict[str, str]:
    """The sections of docs/hooks.md about one hook, by its name."""
    parts = re.split(r"^## (.+)$", HOOKS_PAGE, flags=re.MULTILINE)
    sections = zip(parts[1::2], parts[2::2], strict=True)
    return {heading: text for heading, text in sections if heading.startswith("srq_")}


def commands() -> list[str]:
    """Every `srq` line of every shell block."""
    shell = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), "shell")]
    lines = [part.strip() for block in shell for line in block.splitlines() for part in line.split("&&")]
    return sorted({line for line in lines if line.startswith("srq ")})


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


@pytest.mark.parametrize(
    ("name", "scale", "counter"),
    [("x2", 2, count), ("x3", 3, count), ("x4", 4, count), ("x4, as 2DQuant counts", 4, count_as_2dquant)],
)
def test_the_counts_of_swinir_light(name: str, scale: int, counter: Callable[[Student], Complexity]) -> None:
    assert_counts(name, open_sites(swinir((6,) * 4, 60, 6, scale), "swinir-light", scale), counter)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_counts_of_dat_light(scale: int) -> None:
    """Those of the committed tables."""
    model = open_network(new_dat_light(scale), "dat-light", scale, min_side=DAT_MIN_SIDE, scope="linear")
    table = (ROOT / f"leaderboards/sample/dat-light-x{scale}.md").read_text(encoding="utf-8")
    for bits in (4, 3, 2):
        of = count(quantize(model, Bits.parse(str(bits))))
        (row,) = re.findall(rf"^\| minmax +\| +{bits}/{bits} .*$", table.partition("\n## ")[0], re.MULTILINE)
        assert [cell.strip() for cell in row.split("|")[5:7]] == [f"{of.compression:.2f}", f"{of.speedup:.2f}"]
        assert f" {sum(of.macs.values()) / of.lr_pixels:,.0f} multiply-accumulates per LR pixel" in table


def assert_counts(name: str, teacher: SRModel, counter: Callable[[Student], Complexity]) -> None:
    """The line of the table on efficiency."""
    page = (ROOT / "docs/efficiency.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.splitlines() if re.match(rf"\| {name} +\|", line))
    counts = {bits: counter(quantize(teacher, Bits.parse(str(bits)))) for bits in (4, 3, 2)}
    of = counts[4]
    assert [cell.strip() for cell in line.split("|")[2:-1]] == [
        f"{sum(of.parameters.values()):,}",
        f"{of.parameters[4]:,}",
        f"{sum(of.macs.values()) / of.lr_pixels:,.0f}",
        f"{of.macs[4] / of.lr_pixels:,.0f}",
        " ".join(f"{each.compression:.2f}" for each in counts.values()),
        " ".join(f"{each.speedup:.2f}" for each in counts.values()),
    ]


def test_the_flow_of_a_run_names_every_hook() -> None:
    flow = blocks((ROOT / "docs/design.md").read_text(encoding="utf-8"), "text")[0]
    assert {word for word in flow.split() if word.startswith("srq_")} == set(HOOKS)


@pytest.mark.parametrize("number", range(len(blocks(HOOKS_PAGE, "python"))))
def test_every_block_of_the_hooks_page_runs(number: int) -> None:
    scope: dict[str, Any] = {"__name__": "block"}
    exec(blocks(HOOKS_PAGE, "python")[number], scope)
    assert {"hookimpl", "capture", "PluginOptions", "MethodConformance"} & set(scope)


def test_every_hook_has_a_section() -> None:
    assert set(hook_sections()) == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_section_names_every_argument(hook: str) -> None:
    code = getattr(hookspecs, hook).__code__
    for argument in code.co_varnames[: code.co_argcount]:
        assert re.search(rf"`{argument}\b", hook_sections()[hook]), argument


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = srq
    context = click.Context(srq)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    arguments = command.make_context(command.name, words).params
    if command.name == "run" and not arguments["plugin_files"]:
        Bits.parse(arguments["bits"])
        resolve_method(INSTALLED, arguments["method"], parse_options(arguments["options"]))


def test_readme_has_both_first_commands() -> None:
    assert blocks(README, "shell")[0].splitlines() == [
        "pip install . && srq run --method 2dquant --bits 2 --scale 2",
        'pip install ".[test]" && pytest',
    ]


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The addresses of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_site_once() -> None:
    _, _, nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")
    pages = [page.stem for page in ROOT.glob("docs/*.md")]
    assert sorted(re.findall(r" (\w+)\.md$", nav, re.MULTILINE)) == sorted([*pages, "index"])


def test_the_model_card_names_the_files() -> None:
    folder = ROOT / "sr_ptq_bench/weights"
    rows = dict(re.findall(r"`(\w+\.safetensors)` .*`([0-9a-f]{64})`", (folder / "README.md").read_text()))
    assert rows == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.safetensors")}


def test_the_data_page_names_every_suite_and_every_published_thing() -> None:
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    registry = Registry.load()
    for name in [*suite_names(), *registry.images]:
        assert f"`{name}`" in page, name
    for name in registry.weights:
        assert f"`{name}`" in page or f"`-{name.rpartition('-')[2]}`" in page, name


def test_every_place_has_the_same_version() -> None:
    version = sr_ptq_bench.__version__
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
