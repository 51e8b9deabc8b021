"""A plugin that notes what every hook gets."""

from __future__ import annotations

from tiny import plugin

from sr_ptq_bench import Bounds, PluginOptions


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


def calls(log, hook):
    return [arguments for name, arguments in log if name == hook]
