"""What authors of methods get wrong: each mistake is one line that names the plugin, and never another run's number."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import Field
from refusals import error_of
from tiny import Heard, measured, plugin, plugins, prepare, run
from torch import nn

from sr_ptq_bench import Bits, Bounds, PluginOptions, Quantizer, Training, open_network
from sr_ptq_bench.hooks.check_bits import check_mean_bits
from sr_ptq_bench.hooks.guard import settings_restored
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.quantization.quantize import quantize


def minmax(distribution):
    return Bounds(distribution.minimum, distribution.maximum)


def refused(suite, options=None, **hooks):
    """The line that a run of a plugin with these hooks ends in."""
    mine = plugin("mine", options, **{"init_bounds": minmax, **hooks})
    return error_of(run, suite, mine, method="mine")


# Hooks that would not be called, or not with all that they ask for


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (lambda student, options=None: None, "argument 'options' has a default, and would never get another value"),
        (lambda **everything: None, "**everything gets nothing; name the arguments that it uses"),
        (lambda *everything: None, "*everything gets nothing; name the arguments that it uses"),
        (lambda *, student: None, "argument 'student' comes after a *; leave the * out"),
    ],
)
def test_arguments_that_would_get_nothing(hook, expected):
    assert f"plugin 'mine' of a-test: srq_calibrate: {expected}" in error_of(plugins, plugin("mine", calibrate=hook))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class Mine:\n    @hookimpl\n    def srq_calibrate(self): pass\n", "srq_calibrate is in the class Mine; "),
        ("@hookimpl(optionalhook=True)\ndef srq_calibrat(): pass\n", "no hook 'srq_calibrat'; did you mean"),
        ("@hookimpl(specname='srq_calibrate')\ndef train(): pass\n", "no hook 'train'; "),
        ("@hookimpl(wrapper=True)\ndef srq_calibrate(): return (yield)\n", "srq_calibrate is a wrapper of hooks"),
        ("@hookimpl(hookwrapper=True)\ndef srq_calibrate(): yield\n", "srq_calibrate is a wrapper of hooks"),
        ("def init_bounds(): pass\n", "it has no hook; decorate a function such as srq_init_bounds with @hookimpl"),
    ],
)
def test_hooks_that_would_not_be_called(tmp_path, text, expected):
    path = tmp_path / "mine.py"
    path.write_text(f"from sr_ptq_bench import hookimpl\n\n{text}")
    assert f"plugin 'mine' of mine.py: {expected}" in error_of(Plugins, [path])


@pytest.mark.parametrize("name", ["a+b", "my.v2", "my plug", "sr_ptq_bench"])
def test_names_that_no_method_can_have(name):
    assert f"plugin '{name}' of a-test: the name " in error_of(plugins, plugin(name, init_bounds=minmax))


# What a hook returns or raises


def transformed(student):
    yield student


@pytest.mark.parametrize(("hook", "kind"), [(transformed, "generator"), (lambda student: student.weights, "dict")])
def test_a_transformation_that_is_lost(tiny_suite, hook, kind):
    assert f"plugin 'mine': srq_transform_model returns a {kind}" in refused(tiny_suite, transform_model=hook)


@pytest.mark.parametrize("log", [0, [], ""])
def test_a_log_that_is_empty_and_no_dict(tiny_suite, log):
    assert "plugin 'mine' returns its log as a" in refused(tiny_suite, calibrate=lambda: log)


def test_complex_bounds(tiny_suite):
    said = refused(tiny_suite, init_bounds=lambda: Bounds(0.0, 1 + 1j))
    assert said == "plugin 'mine', site fc1.weight: bounds are no numbers: they are complex"


class MuteError(Exception):
    def __str__(self):
        raise ValueError("no message")


class StrangeError(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "said"), [(MuteError(), "MuteError without a message"), (StrangeError("stop"), "StrangeError: stop")]
)
def test_exceptions_of_any_kind(tiny_suite, error, said):
    def fail():
        raise error

    assert f"plugin 'mine' fails in srq_calibrate: {said}; " in refused(tiny_suite, calibrate=fail)


# Weights, quantizers


def new_parameters(student):
    student.network.fc1.layer.weight = nn.Parameter(student.network.fc1.layer.weight.data * 3)


def new_entries(student):
    student.weights["fc1.weight"] = student.weights["fc1.weight"] * 3


@pytest.mark.parametrize("change", [new_parameters, new_entries])
@pytest.mark.parametrize("hook", ["transform_model", "calibrate"])
def test_weights_that_are_replaced(tiny_suite, hook, change):
    assert refused(tiny_suite, **{hook: change}) == (
        "plugin 'mine': weight fc1.weight is replaced by another tensor; change student.weights['fc1.weight'] in place"
    )


def new_entry(student):
    student.quantizers["query"] = Quantizer(student.quantizers["query"].site, 4)


def new_module(student):
    student.network.fc1.weight_quantizer = Quantizer(student.quantizers["fc1.weight"].site, 8)


@pytest.mark.parametrize(("change", "site"), [(new_entry, "query"), (new_module, "fc1.weight")])
@pytest.mark.parametrize("hook", ["transform_model", "calibrate"])
def test_quantizers_that_are_replaced(tiny_suite, hook, change, site):
    """No state would have them: another student would be scored."""
    assert refused(tiny_suite, **{hook: change}).startswith(
        f"plugin 'mine': the quantizer of site {site} is replaced by another"
    )


def breaks(student):
    student.network.register_forward_pre_hook(lambda *_: 1 / 0)


@pytest.mark.parametrize(
    ("hook", "where"),
    [
        ("transform_model", "the network fails on calibration patches"),
        ("calibrate", "the calibrated network fails on a calibration patch"),
    ],
)
def test_a_network_that_a_method_breaks(tiny_suite, hook, where):
    assert refused(tiny_suite, **{hook: breaks}).startswith(f"method 'mine': {where}: ZeroDivisionError: ")


def bounds_of_no_channels(student):
    student.quantizers["query"].lower.data = torch.zeros(4)
    student.quantizers["query"].upper.data = torch.ones(4)


def bounds_of_other_channels(student):
    student.quantizers["fc1.weight"].lower.data = torch.zeros(3)
    student.quantizers["fc1.weight"].upper.data = torch.ones(3)


@pytest.mark.parametrize("change", [bounds_of_no_channels, bounds_of_other_channels])
def test_bounds_that_fit_no_site_name_the_method(tiny_suite, change):
    assert refused(tiny_suite, calibrate=change).startswith("method 'mine': site ")


class InPlace(Quantizer):
    def quantize(self, v):
        v.mul_(0.5)
        return super().quantize(v)


class Hidden(Quantizer):
    def quantize(self, v):
        v.data.mul_(0.5)
        return super().quantize(v)


class Grows(Quantizer):
    def quantize(self, v):
        self.bits = 8
        return super().quantize(v)


class WithForward(Quantizer):
    def forward(self, v):
        return self.quantize(v)


class WithoutInit(Quantizer):
    def __init__(self, site, bits):
        self.site, self.bits = site, bits


class WithBuffer(Quantizer):
    def __init__(self, site, bits):
        super().__init__(site, bits)
        self.register_buffer("step", torch.tensor(float("nan")))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (InPlace, "site fc1.weight: quantize changes its input"),
        (Hidden, "site fc1.input: quantize changes its input"),
        (Grows, "site fc1.weight: quantize changes bits from 4 to 8; set them when it is made"),
        (WithForward, "has a forward of its own, which cannot be switched off; override quantize"),
        (WithoutInit, "its __init__ must call super().__init__(site, bits)"),
        (WithBuffer, "the quantizer's step has values that are not finite"),
    ],
)
def test_quantizers(tiny_suite, kind, expected):
    said = refused(tiny_suite, make_quantizer=lambda site, bits: kind(site, bits))  # noqa: PLW0108
    assert "plugin 'mine', site " in said
    assert expected in said


class Wider(Quantizer):
    def fit(self, distribution):
        self.bits = 8


def widen_all(student):
    for quantizer in student.quantizers.values():
        quantizer.bits = 8


@pytest.mark.parametrize(
    "hooks",
    [
        {"make_quantizer": lambda site, bits: Quantizer(site, 8)},
        {"make_quantizer": lambda site, bits: Wider(site, bits)},  # noqa: PLW0108
        {"transform_model": widen_all},
        {"calibrate": widen_all},
    ],
)
def test_more_bits_than_the_run_has(tiny_suite, hooks):
    said = refused(tiny_suite, **hooks)
    assert said.startswith("method 'mine': its quantizers of weights have 8.000 bits on average; expected 4 at most")


def test_a_training_without_a_loss_for_a_step_fails_at_the_first(tiny_suite):
    for append in (lambda _: None, lambda losses: losses.append(0.5)):

        def calibrate(student, checkpoint, append=append):
            training = Training(student, checkpoint)
            adam = torch.optim.Adam(student.bound_parameters())
            for _ in training.steps(adam, torch.optim.lr_scheduler.ConstantLR(adam, 1.0), 3):
                append(training.losses)

        assert "each step of a training appends one loss, a tensor" in refused(tiny_suite, calibrate=calibrate)


@pytest.mark.parametrize("batch", [0, -1, 2.0])
def test_batches_of_no_patches(tiny_suite, batch):
    for draw in (lambda batches: next(batches.fixed(batch)), lambda batches: next(batches.random(batch, 8))):
        expected = f"a batch of {batch!r} patches; expected an int of 1 or more"
        assert expected in refused(tiny_suite, calibrate=lambda batches, draw=draw: draw(batches))


@pytest.mark.parametrize("levels", [None, [1.0], torch.tensor(1.0), torch.tensor([]), torch.tensor([1j])])
def test_levels_that_cannot_be_counted(tiny_suite, levels):
    class Odd(Quantizer):
        def levels_of(self, v_q):
            return levels

    said = refused(tiny_suite, make_quantizer=lambda site, bits: Odd(site, bits))  # noqa: PLW0108
    assert "levels_of returns " in said
    assert "expected real numbers in a tensor with an axis for channels" in said


# What one method does to another


def replace_activation(student):
    student.network.relu = nn.Tanh()


def change_by_hook(student):
    student.network.register_forward_pre_hook(lambda _, args: (1 - args[0],))


@pytest.mark.parametrize("change", [replace_activation, change_by_hook])
def test_a_network_that_a_method_rebuilds_is_no_measure_for_others(tiny_suite, change):
    """Distributions are shared between methods; those of another network must not be."""
    home = tiny_suite.folder / "home"
    plain = plugin("plain", init_bounds=minmax)
    alone = measured(prepare(tiny_suite.spec("plain"), plugins(plain)), tiny_suite.folder / "other").record
    rebuilt = plugin("mine", init_bounds=minmax, transform_model=change)
    measured(prepare(tiny_suite.spec("mine"), plugins(rebuilt)), home)
    after = measured(prepare(tiny_suite.spec("plain"), plugins(plain)), home).record
    assert after.state_sha256 == alone.state_sha256


def test_a_calibrator_in_half_precision_leaves_the_teacher_s_outputs_as_they_are(tiny_suite):
    """Others read what the teacher makes of the patches."""
    seen = []

    def look(teacher, batches):
        lr = next(batches.fixed(2))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            seen.append(teacher(lr))
        with torch.no_grad():
            seen.append(teacher.model(lr))

    run(tiny_suite, plugin("mine", init_bounds=minmax, calibrate=look), method="mine")
    assert torch.equal(*seen)


def test_what_a_quantizer_prints_is_no_result(tiny_suite, capsys):
    class Talks(Quantizer):
        def quantize(self, v):
            print("quantized")
            return super().quantize(v)

    def talks(site, bits):
        return Talks(site, bits)

    run(tiny_suite, plugin("mine", init_bounds=minmax, make_quantizer=talks), method="mine")
    assert "quantized" not in capsys.readouterr().out


class Forgets(Quantizer):
    factor = 1.0

    def fit(self, distribution):
        self.factor = 0.5

    def quantize(self, v):
        return super().quantize(v) * self.factor


@pytest.mark.parametrize(("kind", "lines"), [(Forgets, 1), (Quantizer, 0)])
def test_a_student_that_no_state_restores_is_told(tiny_suite, kind, lines):
    heard = Heard()
    mine = plugin("mine", init_bounds=minmax, make_quantizer=lambda site, bits: kind(site, bits))  # noqa: PLW0108
    measured(prepare(tiny_suite.spec("mine"), plugins(mine)), tiny_suite.folder / "home", heard)
    assert sum("the student that is scored is not the calibrated one" in line for line in heard.lines) == lines


# What belongs to all


def halve(teacher):
    next(teacher.model.network.parameters()).data.mul_(0.5)


def to_training(teacher):
    teacher.model.network.train()


def hook(teacher):
    teacher.model.network.register_forward_hook(lambda *_: None)


def hook_before(teacher):
    teacher.model.network.fc1.register_forward_pre_hook(lambda *_: None)


def other_forward(teacher):
    teacher.model.network.fc1.forward = lambda x: x


@pytest.mark.parametrize("change", [halve, to_training, hook, hook_before, other_forward])
def test_a_teacher_that_is_changed(tiny_suite, change):
    assert refused(tiny_suite, calibrate=change) == (
        "plugin 'mine' changes the full-precision network; a method changes the student"
    )


def overwrite_patches(batches):
    batches.patches[:] = 0


def overwrite_images(batches):
    batches.images[0][:] = 0


@pytest.mark.parametrize("change", [overwrite_patches, overwrite_images])
def test_calibration_images_are_read_only(tiny_suite, change):
    assert "fails in srq_calibrate: ValueError: assignment destination is read-only" in refused(
        tiny_suite, calibrate=change
    )


def test_a_metric_has_images_of_its_own():
    image = np.ones((32, 32, 3), np.uint8)
    seen = []

    def spoil(sr, hr):
        seen.append((int(sr.sum()), int(hr.sum())))
        sr[:], hr[:] = 0, 0
        return {}

    known = plugins(plugin("one", evaluate=spoil), plugin("two", evaluate=spoil))
    known.evaluate(image, image, 2)
    assert seen == [(image.size, image.size)] * 2
    assert image.all()


def test_costs_that_are_changed_in_place(tiny_suite):
    costs = []

    def scale(distribution, output_cost):
        costs.append(float(output_cost().mul_(2).sum()))
        costs.append(float(output_cost().sum()))
        return minmax(distribution)

    run(tiny_suite, plugin("mine", init_bounds=scale), method="mine")
    assert costs[0::2] == [2 * cost for cost in costs[1::2]]


def test_the_working_folder_stays_that_of_the_user(tmp_path, monkeypatch):
    """Also where a plugin removes the folder to which it went."""
    monkeypatch.chdir(tmp_path)
    with settings_restored():
        (tmp_path / "other").mkdir()
        os.chdir("other")
        (tmp_path / "other").rmdir()
    assert Path.cwd() == tmp_path


def test_a_working_folder_that_goes_during_a_run_loses_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with settings_restored():
        folder.rmdir()
    assert not folder.exists()


def test_settings_and_prints_of_a_plugin_stay_with_it(capsys):
    threads = torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(), np.geterr()
    with settings_restored():
        torch.set_num_threads(threads + 1)
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.backends.mkldnn.enabled = False
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
        torch.set_autocast_enabled("cpu", True)
        np.seterr(all="raise")
        print("hello")
    assert torch.get_num_threads() == threads
    assert before == (
        torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision(), np.geterr()
    )  # fmt: skip
    assert torch.backends.mkldnn.enabled
    assert not torch.backends.cudnn.benchmark
    assert not torch.is_autocast_enabled("cpu")
    assert capsys.readouterr() == ("", "hello\n")


# Options


class BadDefault(PluginOptions):
    width: float = -1.0
    count: int = "three"  # type: ignore[assignment]


class Required(PluginOptions):
    width: float


with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # pydantic sees it too

    class Taken(PluginOptions):
        later: int = 3  # type: ignore[assignment, misc]


class NoPreset(PluginOptions):
    width: float = 1.0

    @classmethod
    def presets(cls):
        return {"wide": {"width": 2.0}}


class NoPart(PluginOptions):
    width: float = 1.0

    @classmethod
    def parts(cls):
        return {"clipping": {"widht": 0.0}}


class Alias(PluginOptions):
    width: float = Field(1.0, alias="w")


class Folder(PluginOptions):
    folder: Path = Path("here")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (BadDefault, "option count: Input should be a valid integer"),
        (Required, "option width is missing"),
        (Taken, "an option cannot be called later"),
        (NoPreset, "presets() needs an option to choose one: preset: Literal["),
        (Alias, "option width has an alias, which no -o finds; give it one name"),
        (Folder, "option folder is a PosixPath; expected a number, text, or true and false"),
        (NoPart, "no option 'widht'; did you mean 'width'?"),
    ],
)
def test_options_that_fail_their_own_check(options, expected):
    said = error_of(plugins, plugin("mine", options, init_bounds=minmax))
    assert said.startswith("plugin 'mine': Options: ")
    assert expected in said


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_options_are_finite(value):
    assert "option width: Input should be a finite number" in error_of(NoPart.parse, {"width": value})


# Helpers

USES = "from sr_ptq_bench import Bounds, hookimpl\nfrom {0} import K\n\n@hookimpl\ndef srq_init_bounds(): pass\n"


@pytest.fixture
def path(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())


def test_helpers_of_one_name_in_two_folders(tmp_path, path):
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper_of_two.py").write_text(f"K = '{name}'\n")
        files.append(tmp_path / name / f"{name}.py")
        files[-1].write_text(USES.format("helper_of_two"))
    said = error_of(Plugins, files)
    assert said == (
        f"plugin file {files[1]}: its helper_of_two would be {tmp_path}/one/helper_of_two.py, "
        f"which another plugin imported; rename {tmp_path}/two/helper_of_two.py"
    )


def test_a_helper_that_has_changed_since_it_was_imported(tmp_path, path):
    mine, helper = tmp_path / "mine.py", tmp_path / "helper_that_changes.py"
    helper.write_text("K = 1\n")
    mine.write_text(USES.format("helper_that_changes"))
    Plugins([mine])
    helper.write_text("K = 1  # the same\n")
    Plugins([mine])
    helper.write_text("K = 2\n")
    assert error_of(Plugins, [mine]) == (
        f"plugin file {mine}: {helper} has changed since this process imported it; start Python again"
    )


# Bits of the first and the last layer


def test_the_first_and_last_layer_may_have_more_bits_than_a_method_chose():
    """Bits that one plugin takes from the edges for the rest, and another gives back to the edges."""
    model = replace(open_network(Layers(), "any", 2), first_last_layers=("0", "2"))
    bits = Bits(weight=4, activation=4)
    chosen = {"0.weight": 2, "2.weight": 3, "1.weight": 5}
    student = quantize(model, bits, lambda site, width: Quantizer(site, 8 if site.edge else width), chosen)
    check_mean_bits(student, bits, chosen)
    student.quantizers["1.weight"].bits = 6
    assert "its quantizers of weights have 6.000 bits on average" in error_of(check_mean_bits, student, bits, chosen)


class Layers(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 12, 1), nn.PixelShuffle(2))
