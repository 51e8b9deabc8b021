"""Weights that a network computes from other parameters in every pass, as plain weights."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def fuse_weights(network: nn.Module) -> None:
    """Replace weight norms, spectral norms, masks and other parametrizations by their results, in place.

    The network is in `eval()`, where a spectral norm takes no step. Its outputs stay the same to the last bit.
    """
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            _unparametrize(module)
        for hook in list(module._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)
            elif isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)


def _unparametrize(module: nn.Module) -> None:
    """As torch's `remove_parametrizations`, which fails for a deep copy, and makes buffers where gradients are off."""
    results = {name: getattr(module, name).detach().clone() for name in module.parametrizations}  # type: ignore[union-attr]
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, result in results.items():
        setattr(module, name, nn.Parameter(result))
