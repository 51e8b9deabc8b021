"""Every method works on every architecture with attention, products included, as it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import SIDE, WITH_ATTENTION, loaded
from oracle import images
from training import Forgetful

from sr_ptq_bench import Batches, Bits
from sr_ptq_bench.hooks.options import option_values
from sr_ptq_bench.hooks.plugins import Plugins
from sr_ptq_bench.hooks.resolve import resolve_method
from sr_ptq_bench.progress import no_progress
from sr_ptq_bench.quantization.observe import observe
from sr_ptq_bench.quantization.quantize import quantize
from sr_ptq_bench.quantization.state.save_load import load_state, save_state

PLUGINS = Plugins()
SHORT = {"iterations": "2", "batch": "1", "patch": str(SIDE)}
METHODS = ("minmax", "percentile", "dobi", "dbdc", "2dquant", "dbdc+pac")


def short(name: str):
    """The method with a training of two steps."""
    components = resolve_method(PLUGINS, name, {}).components
    have = {component: option_values(PLUGINS.options(component, {})) for component in components}
    options = {f"{of}.{key}": value for of in components for key, value in SHORT.items() if key in have[of]}
    return resolve_method(PLUGINS, name, options)


@pytest.mark.filterwarnings("ignore:'saved_variables' is deprecated")  # OmniSR's code
@pytest.mark.parametrize("architecture", WITH_ATTENTION)
def test_every_method_runs_on_every_architecture(architecture: str, tmp_path: Path) -> None:
    model = loaded(architecture, 2, tmp_path)
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    batches = Batches(np.stack([photo[:SIDE, :SIDE], photo[SIDE:, SIDE:]]), [photo])
    seen = observe(quantize(model, Bits.parse("8")), batches.fixed)
    lr = images(1, SIDE)
    with torch.no_grad():
        expected = model(lr)
    for name in METHODS:
        method = short(name)
        student = quantize(model, Bits.parse("8"), method.make_quantizer)
        for site, quantizer in student.quantizers.items():
            quantizer.set_bounds(method.init_bounds(quantizer.site, seen[site], quantizer.bits))
        before = [bound.clone() for bound in student.bound_parameters()]
        method.calibrate(student, model, batches, no_progress, Forgetful())
        moved = sum(not torch.equal(*pair) for pair in zip(before, student.bound_parameters(), strict=True))
        assert (moved > len(before) // 2) == ("+" in name or name == "2dquant")
        with torch.no_grad():
            error = (student(lr) - expected).norm() / expected.norm()
            assert 0 < error < 0.1, name  # 8 bits are nearly enough
            assert torch.equal(load_state(save_state(student, model), model)(lr), student(lr))
