"""The host calls every hook where the design says, with the arguments and in the order that specs.py promises."""

from __future__ import annotations

import inspect
from itertools import groupby

import numpy as np
import pytest
import torch
from tiny import SITES, TinySuite, measured, plugin, plugins, prepare, run, write_weights
from tiny import srq_load_model as load_tiny

from sr_ptq_bench import Batches, Bits, Bounds, PluginOptions, Quantizer, SRModel, SrqError, Student
from sr_ptq_bench.cache.teacher import CachedTeacher
from sr_ptq_bench.hooks import specs as hookspecs
from sr_ptq_bench.hooks.resolve import resolve_method

HOOKS = sorted(name for name in dir(hookspecs) if name.startswith("srq_"))


def spy(log, name="spy"):
    """A plugin with every hook but srq_compose, which writes down what each is called with."""

    class Options(PluginOptions):
        strength: str = "1"

        @classmethod
        def parse(cls, values):
            log.append(("options", dict(values)))
            return super().parse(values)

    def load_model(name, scale, weights):
        log.append(("load_model", (name, scale, weights)))

    def choose_bits(student, batches, bits, options):
        log.append(("choose_bits", (student, batches, bits, options)))

    def make_quantizer(site, bits, options):
        log.append(("make_quantizer", (site.name, bits, options)))

    def transform_model(student, batches, options):
        log.append(("transform_model", (student, batches, options)))

    def init_bounds(site, distribution, bits, options):
        log.append(("init_bounds", (site.name, distribution, bits, options)))
        return Bounds(distribution.minimum, distribution.maximum)

    def calibrate(student, teacher, batches, options, progress):
        log.append(("calibrate", (student, teacher, batches, options, progress)))
        return {"loss": 0.5}

    def evaluate(sr, hr, scale):
        log.append(("evaluate", (sr, hr, scale)))
        return {f"{name}_score": 1.0}

    hooks = (load_model, choose_bits, make_quantizer, transform_model, init_bounds, calibrate, evaluate)
    return plugin(name, Options, **{hook.__name__: hook for hook in hooks})


@pytest.fixture(scope="module")
def spied(tmp_path_factory):
    """The tiny suite, and all calls of a whole run of `spy` on it at w3a5, with one option."""
    suite, calls = TinySuite.write(tmp_path_factory.mktemp("tiny")), []
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SRQ_HOME", str(suite.folder / "home"))
        run(suite, spy(calls), method="spy", bits="w3a5", strength="7")
    return suite, calls


@pytest.fixture
def log(spied):
    return spied[1]


def calls(log, hook):
    return [arguments for name, arguments in log if name == hook]


def test_the_hooks_are_called_in_the_order_of_the_design(log):
    assert [name for name, _ in groupby(log, lambda call: call[0])] == [
        "options", "load_model", "evaluate", "choose_bits",
        "make_quantizer", "transform_model", "init_bounds", "calibrate", "evaluate",
    ]  # fmt: skip


def test_the_options_get_the_values_and_reach_every_hook(log):
    assert calls(log, "options") == [{}, {}, {"strength": "7"}]
    for hook in ("choose_bits", "make_quantizer", "transform_model", "init_bounds"):
        assert {arguments[-1].strength for arguments in calls(log, hook)} == {"7"}
    assert calls(log, "calibrate")[0][3].strength == "7"


def test_options_refuse_before_anything_is_loaded(tiny_suite):
    class Strict(PluginOptions):
        a: int = 1

        @classmethod
        def parse(cls, values):
            if values:
                raise SrqError("never")
            return super().parse(values)

    calls_made = []
    strict = plugin("strict", Strict, init_bounds=lambda: None)
    with pytest.raises(SrqError, match=r"^never$"):
        run(tiny_suite, spy(calls_made), strict, method="strict", a="2")
    assert calls(calls_made, "load_model") == []


def test_options_of_a_component_reach_that_component_only(tiny_suite):
    class One(PluginOptions):
        a: str = "default"

    class Two(PluginOptions):
        b: str = "default"

    seen = {}

    def keep(name, options):
        def make_quantizer(site, options):
            seen[name] = options.model_dump()

        return {"options": options, "make_quantizer": make_quantizer}

    one = plugin("one", init_bounds=minmax, **keep("a", One))
    two = plugin("two", calibrate=lambda: None, **keep("b", Two))
    run(tiny_suite, one, two, method="one+two", **{"one.a": "1"})
    assert seen == {"a": {"a": "1"}, "b": {"b": "default"}}


def minmax(distribution):
    return Bounds(distribution.minimum, distribution.maximum)


def test_srq_load_model_is_called_once_with_the_suite_s_model(spied):
    suite, log = spied
    assert calls(log, "load_model") == [("tiny", 2, suite.folder / "weights.safetensors")]


def test_srq_load_model_takes_the_one_answer_that_is_not_none(tmp_path):
    model = load_tiny("tiny", 2, write_weights(tmp_path / "w.safetensors"))
    asked = []

    def answer(result):
        def load_model(name):
            asked.append(name)
            return result

        return load_model

    some = plugins(plugin("yes", load_model=answer(model)), plugin("no", load_model=answer(None)))
    assert some.load_model("mine", 2, tmp_path) == (model, "yes")
    assert asked == ["mine", "mine"]


def test_srq_load_model_that_nobody_answers_is_an_error(tmp_path):
    with pytest.raises(SrqError, match=r"^no plugin loads a model called 'tinny'; asked: .*swinir.*, tiny$"):
        plugins().load_model("tinny", 2, write_weights(tmp_path / "w.safetensors"))


def test_srq_choose_bits_gets_the_student_the_batches_and_the_bits_of_the_run(log):
    ((student, batches, bits, _),) = calls(log, "choose_bits")
    assert isinstance(student, Student)
    assert isinstance(batches, Batches)
    assert bits == Bits.parse("w3a5")
    assert {q.site.role: q.bits for q in student.quantizers.values()} == {"weight": 3, "activation": 5}
    ((quantized, *_),) = calls(log, "transform_model")
    assert quantized is not student


def chooser(chosen):
    return plugin("chooser", choose_bits=lambda: chosen)


def test_srq_choose_bits_decides_the_bits_of_sites(tiny_suite):
    seen = {}

    def init_bounds(site, distribution, bits):
        seen[site.name] = bits
        return minmax(distribution)

    chosen = {"fc1.weight": 2, "fc2.weight": 4, "key": 5}
    first = plugin("mine", init_bounds=init_bounds)
    result = measured(prepare(tiny_suite.spec("chooser+mine", bits="w3a6"), plugins(chooser(chosen), first)))
    assert seen == {site: 3 if site.endswith("weight") else 6 for site in SITES} | chosen
    assert result.record.site_bits == chosen
    assert result.record.spec.bits == Bits.parse("w3a6")
    assert result.record.complexity.parameters.keys() == {32, 4, 2}


@pytest.mark.parametrize("chosen", [None, {}])
def test_srq_choose_bits_may_leave_all_as_they_are(tiny_suite, chosen):
    record = run(tiny_suite, chooser(chosen), method="chooser+minmax", bits="3")
    assert record.site_bits == {}
    assert record.scores == run(tiny_suite, bits="3").scores


def test_srq_choose_bits_is_answered_by_one_component(tiny_suite):
    """Another one that answers would stand in the method's name without effect."""
    more = chooser({"key": 3}), plugin("second", choose_bits=lambda: {}), plugin("mute", choose_bits=lambda: None)
    assert run(tiny_suite, *more, method="mute+chooser+minmax", bits="4").site_bits == {"key": 3}
    with pytest.raises(SrqError, match="chooser and second both choose bits; keep one"):
        run(tiny_suite, *more, method="mute+chooser+second+minmax", bits="4")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([("key", 3)], "srq_choose_bits returns a list; expected bits by site"),
        ({"keys": 3}, "no site 'keys'; did you mean 'key'?"),
        ({"key": 1}, "srq_choose_bits gives site key 1 bits; expected an int from 2 to 8"),
        ({"key": 9}, "srq_choose_bits gives site key 9 bits; expected an int from 2 to 8"),
        ({"key": 3.0}, "srq_choose_bits gives site key 3.0 bits; expected an int from 2 to 8"),
        ({"key": True}, "srq_choose_bits gives site key True bits; expected an int from 2 to 8"),
        ({"fc1.weight": 5}, "srq_choose_bits gives weights 4.500 bits on average; expected 4 at most"),
        ({"query": 5}, "srq_choose_bits gives activations 4.200 bits on average; expected 4 at most"),
    ],
)
def test_srq_choose_bits_that_no_run_can_have_are_refused(tiny_suite, chosen, expected):
    with pytest.raises(SrqError) as caught:
        run(tiny_suite, chooser(chosen), method="chooser+minmax", bits="4")
    assert str(caught.value) == f"plugin 'chooser': {expected}"


def test_srq_choose_bits_changes_nothing_but_bits(tiny_suite):
    def spoil(student):
        student.network.fc1.layer.weight.data.zero_()
        return {"key": 3}

    record = run(tiny_suite, plugin("spoil", choose_bits=spoil), method="spoil+minmax", bits="4")
    assert record.scores == run(tiny_suite, chooser({"key": 3}), method="chooser+minmax", bits="4").scores


def test_srq_make_quantizer_is_asked_for_every_site_with_the_bits_of_its_role(log):
    assert [(site, bits) for site, bits, _ in calls(log, "make_quantizer")] == [
        (site, 3 if site.endswith("weight") else 5) for site in SITES
    ]


def test_srq_make_quantizer_s_answer_takes_the_place_of_the_default(tiny_suite):
    class Off(Quantizer):
        levels_bounded = False

        def quantize(self, v):
            return v

    kinds = {}

    def make_quantizer(site, bits):
        return Off(site, bits) if site.role == "weight" else None

    def calibrate(student):
        kinds.update({name: type(quantizer) for name, quantizer in student.quantizers.items()})

    run(tiny_suite, plugin("own", make_quantizer=make_quantizer, init_bounds=minmax, calibrate=calibrate), method="own")
    assert kinds == {site: Off if site.endswith("weight") else Quantizer for site in SITES}


def test_srq_make_quantizer_is_answered_by_the_first_part(tiny_suite):
    made = []

    def first(site, bits):
        made.append(Quantizer(site, bits))
        return made[-1]

    def second(site, bits):
        raise AssertionError

    def calibrate(student):
        assert list(student.quantizers.values()) == made

    one = plugin("one", init_bounds=minmax, make_quantizer=first)
    run(tiny_suite, one, plugin("two", make_quantizer=second, calibrate=calibrate), method="one+two")
    assert len(made) == len(SITES)


def test_srq_transform_model_gets_the_student_and_the_calibration_patches_once(log):
    ((student, batches, _),) = calls(log, "transform_model")
    assert isinstance(student, Student)
    assert isinstance(batches, Batches)
    assert batches.patches.shape == (4, 8, 8, 3)


def test_srq_transform_model_sees_a_student_in_full_precision(tiny_suite):
    outputs = []

    def transform_model(student, batches):
        x = next(batches.fixed())
        outputs.extend([student(x), student.network.head(x)])

    def calibrate(student, teacher, batches):
        x = next(batches.fixed())
        outputs.append(teacher(x))
        assert all(quantizer.enabled for quantizer in student.quantizers.values())

    run(
        tiny_suite,
        plugin("t", init_bounds=minmax, transform_model=transform_model, calibrate=calibrate),
        method="t",
    )
    assert torch.equal(outputs[0], outputs[2])


def test_srq_transform_model_comes_before_the_pass_that_observes(tiny_suite):
    """Cached distributions of the untouched network must not be used."""
    ranges = {}

    def transform_model(student):
        student.network.fc1.layer.weight.data.zero_()
        student.network.fc1.layer.bias.data.fill_(3.0)

    def init_bounds(site, distribution):
        ranges[site.name] = distribution.minimum, distribution.maximum
        return minmax(distribution)

    run(tiny_suite)
    run(tiny_suite, plugin("t", init_bounds=init_bounds, transform_model=transform_model), method="t")
    assert ranges["fc1.weight"] == (0.0, 0.0)
    gelu = float(torch.nn.functional.gelu(torch.tensor(3.0)))
    assert ranges["fc2.input"] == pytest.approx((gelu, gelu))


def test_srq_init_bounds_gets_every_site_once_with_its_bits(log):
    assert [(site, bits) for site, _, bits, _ in calls(log, "init_bounds")] == [
        (site, 3 if site.endswith("weight") else 5) for site in SITES
    ]


def test_srq_init_bounds_gets_statistics_of_the_full_precision_network(log):
    _, teacher, batches, _, _ = calls(log, "calibrate")[0]
    seen = {}
    key = teacher.model.network.key
    with key.register_forward_pre_hook(lambda _, inputs: seen.setdefault("key", inputs[0])):
        teacher(next(batches.fixed(len(batches.patches))))
    distributions = {site: distribution for site, distribution, _, _ in calls(log, "init_bounds")}
    key, weight = seen["key"], teacher.model.network.fc2.weight
    assert (distributions["key"].minimum, distributions["key"].maximum) == pytest.approx(
        (float(key.min()), float(key.max())), rel=1e-5
    )
    assert distributions["key"].count == key.numel()
    assert (distributions["fc2.weight"].minimum, distributions["fc2.weight"].maximum) == (weight.min(), weight.max())


def test_srq_init_bounds_sets_the_bounds_that_the_student_has(tiny_suite):
    found = {}

    def init_bounds(site):
        return Bounds(-0.5, SITES.index(site.name))

    def calibrate(student):
        found.update({name: (float(q.lower), float(q.upper)) for name, q in student.quantizers.items()})

    run(tiny_suite, plugin("mine", init_bounds=init_bounds, calibrate=calibrate), method="mine")
    assert found == {site: (-0.5, index) for index, site in enumerate(SITES)}


def test_srq_calibrate_is_called_once_with_student_teacher_batches_and_progress(log):
    ((student, teacher, batches, _, progress),) = calls(log, "calibrate")
    assert isinstance(student, Student)
    assert isinstance(teacher, CachedTeacher)
    assert isinstance(teacher.model, SRModel)
    assert isinstance(batches, Batches)
    assert progress(1, 2) is None
    assert progress(2, 2, "note") is None


def test_srq_calibrate_s_figures_are_in_the_record(tiny_suite):
    figures = {"checkpoint": "last", "loss": 0.5, "steps": 3, "losses": [0.75, 0.5]}
    record = run(tiny_suite, plugin("mine", calibrate=lambda: figures), method="minmax+mine")
    assert record.figures == {**figures, "losses": (0.75, 0.5)}


def test_srq_calibrate_without_figures_leaves_none(tiny_suite):
    assert run(tiny_suite, plugin("mine", calibrate=lambda: None), method="minmax+mine").figures == {}


def test_srq_calibrate_decides_the_scores(tiny_suite):
    def calibrate(student):
        for quantizer in student.quantizers.values():
            quantizer.set_bounds(Bounds(0.0, 0.0))

    flat = run(tiny_suite, plugin("flatten", calibrate=calibrate), method="minmax+flatten")
    assert flat.scores != run(tiny_suite).scores


def test_srq_evaluate_is_called_for_every_image_and_upscaler(log):
    images = calls(log, "evaluate")
    assert len(images) == 2 * len(["fp", "bicubic", "bilinear", "student"])
    for sr, hr, scale in images:
        assert sr.shape == hr.shape
        assert sr.dtype == hr.dtype == np.uint8
        assert scale == 2
    assert [hr.shape for _, hr, _ in images[:2]] == [(24, 28, 3), (32, 24, 3)]


def test_srq_evaluate_s_scores_are_merged(tiny_suite):
    record = run(tiny_suite, spy([], "a"), spy([], "b"))
    assert {*record.scores["noise"].mean} == {"psnr", "ssim", "a_score", "b_score"}
    assert record.references.bicubic["noise"].images["first"]["a_score"] == 1.0


def test_srq_evaluate_of_two_plugins_may_not_return_one_key(tiny_suite):
    double = plugin("double", evaluate=lambda: {"psnr": 1.0})
    with pytest.raises(SrqError, match=r"image 'first': plugins 'metrics' and 'double' both return the metric 'psnr'"):
        run(tiny_suite, double)


def test_srq_evaluate_may_have_nothing_to_say(tiny_suite):
    assert {*run(tiny_suite, plugin("mute", evaluate=lambda: None)).scores["noise"].mean} == {"psnr", "ssim"}


def test_srq_compose_names_the_components_in_order():
    both = plugin("both", compose=lambda: ("minmax", "dqc"))
    assert resolve_method(plugins(both), "both", {}).components == ("minmax", "dqc")


def test_srq_compose_may_name_a_composed_plugin():
    nested = plugins(plugin("outer", compose=lambda: ["2dquant", "extra"]), plugin("extra", transform_model=refuse_all))
    assert resolve_method(nested, "outer", {}).components == ("dobi", "dqc", "extra")


def refuse_all():
    raise AssertionError


def test_an_implementation_names_only_the_arguments_that_it_uses(tiny_suite):
    bare = plugin(
        "bare", init_bounds=lambda: Bounds(-1, 1), calibrate=lambda student: {"sites": len(student.quantizers)}
    )
    assert run(tiny_suite, bare, method="bare").figures == {"sites": 6}


def test_only_the_plugins_of_the_method_are_asked(tiny_suite):
    other = []
    run(tiny_suite, spy(other, "other"))
    assert {name for name, _ in other} - {"options"} == {"load_model", "evaluate"}


def test_the_spy_implements_every_hook_of_a_run():
    assert {*spy([]).hooks()} == {*HOOKS} - {"srq_compose"}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_typed_and_documented(hook):
    signature = inspect.signature(getattr(hookspecs, hook))
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(argument.annotation is not inspect.Parameter.empty for argument in signature.parameters.values())
    assert len((getattr(hookspecs, hook).__doc__ or "").splitlines()) > 2


def test_prepare_calls_no_hook_of_the_run_itself(tiny_suite):
    calls_made = []
    prepare(tiny_suite.spec("spy"), plugins(spy(calls_made)))
    assert {name for name, _ in calls_made} == {"options", "load_model"}
