"""The random generators that a calibration may draw from: seeded, saved and restored.

Methods should draw from their own seeded generators. The global generators of torch, NumPy and Python are covered too,
because libraries draw from them.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

Generator = torch.Generator | np.random.Generator | random.Random
"""A generator that a calibration made for itself."""
_OWN = "generator {}"
_TORCH, _CUDA, _OTHERS = "torch", "cuda", "python and numpy"


def seed_generators(seed: int) -> None:
    """Seed the global generators of torch (CPU and GPU), NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def generator_states(own: Sequence[Generator] = ()) -> dict[str, Tensor]:
    """The states of the global generators and of `own` ones, as tensors of bytes by name."""
    name, keys, *rest = np.random.get_state(legacy=True)
    others = {"python": random.getstate(), "numpy": [name, np.asarray(keys).tolist(), *rest]}
    states = {_TORCH: torch.get_rng_state(), _OTHERS: _as_bytes(others)}
    if torch.cuda.is_available():
        states |= {f"{_CUDA} {index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states | {_OWN.format(index): _state(generator) for index, generator in enumerate(own)}


def restore_generators(states: Mapping[str, Tensor], own: Sequence[Generator] = ()) -> None:
    """Restore the states that `generator_states` returned; `own` are the same generators in the same order."""
    torch.set_rng_state(states[_TORCH])
    others = _from_bytes(states[_OTHERS])
    version, values, gauss = others["python"]
    random.setstate((version, tuple(values), gauss))
    name, keys, *rest = others["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if f"{_CUDA} {index}" in states:  # a machine may have other GPUs than the machine that saved them
                torch.cuda.set_rng_state(states[f"{_CUDA} {index}"], index)
    for index, generator in enumerate(own):
        _restore(generator, states[_OWN.format(index)])


def _state(generator: Generator) -> Tensor:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return _as_bytes(generator.getstate())
    return _as_bytes(generator.bit_generator.state)


def _restore(generator: Generator, state: Tensor) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        version, values, gauss = _from_bytes(state)
        generator.setstate((version, tuple(values), gauss))
    else:
        generator.bit_generator.state = _from_bytes(state)


def _as_bytes(value: object) -> Tensor:
    text = json.dumps(value, default=lambda array: np.asarray(array).tolist())
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def _from_bytes(tensor: Tensor) -> Any:
    return json.loads(bytes(tensor.tolist()))
