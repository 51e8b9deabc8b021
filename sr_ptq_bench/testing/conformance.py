"""The promises that a method makes to the host, as tests."""

from __future__ import annotations

import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch

from ..errors import SrqError
from ..evaluation.levels import counted_levels
from ..hooks.method import Method
from ..hooks.options import option_values
from ..hooks.plugins import Plugins
from ..hooks.resolve import resolve_method
from ..quantization.distribution import Distribution
from ..quantization.quantizer import InputKind, Quantizer, Role, Site
from ..quantization.randomness import seed_generators
from ..quantization.state.network_tensors import network_sha256
from ..quantization.state.save_load import KINDS, load_state
from .networks import NETWORKS, network, noise
from .pipeline import Killed, Memory, Weighed, calibrated, frozen

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from torch import Tensor

    from ..quantization.student import Student

ALL_BITS = range(2, 9)
DEGENERATE = {
    "zeros": torch.zeros(4, 6),
    "constant": torch.full((4, 6), 0.3),
    "one element": torch.tensor([[2.5]]),
    "two values": torch.tensor([[-1.0, 1.0]]).repeat(4, 3),
    "huge": torch.linspace(-1e30, 1e30, 24).view(4, 6),
    "tiny": torch.linspace(0, 1e-30, 24).view(4, 6),
    "outlier": torch.cat([torch.zeros(23), torch.tensor([1e6])]).view(4, 6),
}


_LOADED: dict[type, Plugins] = {}
"""The plugins of each suite: all code is read for its hash, so once is enough."""


def fresh_processes() -> BaseContext:
    """Processes in which nothing has run yet; where the system can, they need not import this package again."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def state_alone(files: list[str], name: str, options: dict[str, Any], bits: int, threads: int) -> bytes:
    """The state of a method's run that is the first of its process."""
    torch.set_num_threads(threads)
    method = resolve_method(Plugins(map(Path, files)), name, options)
    return calibrated(method, network("swinir"), noise(), bits)[2]


def counted_output(student: Student) -> tuple[Tensor, str]:
    """The output for the patches, and what is wrong with the levels; empty if no site has more than it may have."""
    with torch.no_grad(), counted_levels(student) as levels:
        output = student(next(noise().fixed()))
    try:
        levels.check()
    except SrqError as error:
        return output, str(error)
    return output, ""


class MethodConformance:
    """Derive `class TestMine(MethodConformance)` and name the plugin; pytest does the rest.

    - `plugin`: what stands after `--method`. A plugin without `srq_init_bounds` is tested behind `minmax`.
    - `options`: as after `-o`; make a training short here, such as `{"iterations": 2}`.
    - `files`: plugin files, as after `--plugin`, if the plugin is not installed.
    """

    plugin: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    files: ClassVar[tuple[Path | str, ...]] = ()

    @classmethod
    def plugins(cls) -> Plugins:
        """All plugins."""
        return Plugins([Path(file) for file in cls.files])

    @pytest.fixture
    def method(self) -> Method:
        """The method with its options."""
        if type(self) not in _LOADED:
            _LOADED[type(self)] = self.plugins()
        plugins = _LOADED[type(self)]
        options = {key: str(value) for key, value in self.options.items()}
        try:
            return resolve_method(plugins, self.plugin, options)
        except SrqError as error:
            if "has no initializer" not in str(error):
                raise
            return resolve_method(plugins, f"minmax+{self.plugin}", options)

    def test_hooks_are_well_formed(self) -> None:
        """The plugin loads, implements hooks of a method, and none that is to go."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plugins = self.plugins()
        for name in self.plugin.split("+"):
            assert name in plugins.method_names(), f"'{name}' is no method; there is: {plugins.method_names()}"

    def test_options_are_validated(self, method: Method) -> None:
        """The defaults are valid, every option has a type, and an unknown one is refused."""
        for name in method.components:
            of = method.plugins.plugins[name].options_class
            with pytest.raises((SrqError, AttributeError)):
                of.parse({"no_such_option": 1})  # type: ignore[union-attr]
            for key, value in option_values(method.plugins.options(name, {})).items():
                if isinstance(value, int | float):
                    assert of is not None
                    with pytest.raises(SrqError):
                        of.parse({key: "no number"})
                    with pytest.raises(SrqError):
                        of.parse({key: "nan"})

    @pytest.mark.parametrize("name", NETWORKS)
    def test_every_backbone(self, name: str, method: Method) -> None:
        """Bounds are finite and ordered, outputs finite, and no site has more levels than it may have."""
        student, _, _ = calibrated(method, network(name), noise(), 4)
        for quantizer in student.quantizers.values():
            quantizer.bounds.tensors()
        output, wrong = counted_output(student)
        assert torch.isfinite(output).all(), "the student's output is not finite"
        assert not wrong, wrong

    @pytest.mark.parametrize("bits", ALL_BITS)
    def test_codes_are_counted(self, bits: int, method: Method) -> None:
        """No site has more than 2^b distinct levels, unless its quantizer says so."""
        student, _, _ = calibrated(method, network("convolutions"), noise(), bits)
        _, wrong = counted_output(student)
        assert not wrong, wrong

    @pytest.mark.parametrize("role", ["weight", "activation"])
    @pytest.mark.parametrize("tensor", DEGENERATE)
    def test_degenerate_tensors(self, tensor: str, role: Role, method: Method) -> None:
        """Constant, empty of range, huge: bounds and quantized values are finite."""
        v = DEGENERATE[tensor]
        kinds: tuple[InputKind, ...] = ("parameter",) if role == "weight" else ("conv", "softmax", "gelu")
        for kind in kinds:
            site = Site(f"the tensor '{tensor}'", role, kind, 0 if role == "weight" else -1, layer="linear")
            made = method.make_quantizer(site, 4)
            quantizer = made if made is not None else Quantizer(site, 4)
            method.initialize(quantizer, Distribution.of_tensor(v, site.channel_axis))
            with torch.no_grad():
                assert torch.isfinite(quantizer(v)).all(), f"'{tensor}' is quantized to values that are not finite"

    def test_it_is_deterministic(self, method: Method) -> None:
        """The same run gives the same state to the last bit."""
        (_, log, one), (_, again, other) = (calibrated(method, network("swinir"), noise(), 3) for _ in range(2))
        assert one == other, "two equal runs give different states; draw from generators with seeds of their own"
        assert log == again, "two equal runs give different logs"

    def test_it_remembers_no_other_run(self, method: Method) -> None:
        """A run after others gives the state that it gives in a process of its own."""
        for bits in (4, 3):
            _, _, state = calibrated(method, network("swinir"), noise(), bits)
        given = [str(Path(file).absolute()) for file in self.files]
        values = {name: option_values(method.options[name]) for name in method.components}
        options = {f"{name}.{key}": value for name, of in values.items() for key, value in of.items()}
        with ProcessPoolExecutor(1, fresh_processes()) as pool:
            alone = pool.submit(state_alone, given, method.name, options, 3, torch.get_num_threads()).result()
        assert state == alone, "a run after others ends with another state; keep nothing in the module between runs"

    @pytest.mark.parametrize("save", [1, 2, 3])
    def test_a_killed_calibration_continues(self, save: int, method: Method) -> None:
        """A calibration that is killed at a checkpoint ends as one that is not, to the last bit."""
        _, log, state = calibrated(method, network("convolutions"), noise(), 3)
        memory = Memory(save)
        try:
            calibrated(method, network("convolutions"), noise(), 3, memory)
        except Killed:
            _, after, resumed = calibrated(method, network("convolutions"), noise(), 3, memory)
            assert resumed == state, "a resumed calibration ends with another state; see `Training` in docs/hooks.md"
            assert after == log, "a resumed calibration ends with another log"

    def test_the_state_restores_the_student(self, method: Method) -> None:
        """The student of the state gives the same output; without the method's code if it has no quantizers."""
        teacher = network("swinir")
        student, _, state = calibrated(method, teacher, noise(), 3)
        known = all(type(quantizer) in KINDS.values() for quantizer in student.quantizers.values())
        restored = load_state(state, teacher, None if known else method.make_quantizer)
        lr, outputs = next(noise().fixed()), []
        for each in (restored, student):
            seed_generators(0)  # as runs do: a quantizer may draw random numbers
            with torch.no_grad():
                outputs.append(each(lr))
        assert torch.equal(*outputs), "what is restored from the state is another student"

    def test_the_teacher_is_left_alone(self, method: Method) -> None:
        """The full-precision network keeps all its tensors."""
        teacher = network("swinir")
        before = network_sha256(teacher)
        calibrated(method, teacher, noise(), 3)
        assert network_sha256(teacher) == before, "the teacher was changed; a method changes the student"
        assert not any(p.requires_grad for p in teacher.network.parameters()), "the teacher was told to learn"

    def test_memory_does_not_grow_with_the_patches(self, method: Method) -> None:
        """More calibration patches take no more tensors at any time."""
        passes = []
        for count in (6, 24, 42):
            batches = Weighed(noise(count).patches, noise().images)
            with frozen():
                calibrated(method, network("convolutions"), batches, 4)
            passes.append(batches.bytes_seen)
        few, more, most = passes
        # What is kept per patch grows in both steps; what the process itself allocates once does not.
        growth = max(min(b - a, c - b) for a, b, c in zip(few, more, most, strict=True))
        patch = next(noise(1).fixed()).nbytes
        assert growth < 6 * patch, f"18 more patches of {patch} bytes keep {growth} more bytes; stream them"

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
    def test_it_works_on_a_gpu(self, method: Method) -> None:
        """The calibration runs with network and patches on a GPU."""
        batches = noise()
        on_gpu = type(batches)(batches.patches, batches.images, 0, "cuda")
        student, _, _ = calibrated(method, network("convolutions").to("cuda"), on_gpu, 4)
        with torch.no_grad():
            assert torch.isfinite(student(next(on_gpu.fixed()))).all()
