"""A layer's inputs and outputs while the network runs, one call at a time."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ..errors import SrqError, unknown
from .quantizer import Quantizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Protocol

    class HasNetwork(Protocol):
        """A `Student` or an `SRModel`."""

        @property
        def network(self) -> nn.Module:
            """The network that runs."""


@contextmanager
def capture(model: HasNetwork, names: Iterable[str], see: Callable[[str, Tensor, Tensor], object]) -> Iterator[None]:
    """Call `see(name, x, y)` whenever one of these sites or modules maps a tensor `x` to a tensor `y`.

    A site of a student shows the tensor before and after its quantizer, of any shape that the network makes; a module
    shows its first argument and its output. Nothing is kept, so memory grows only with what `see` keeps. With gradients
    on, both tensors carry them; that of a site's `y` is what an error of its quantizer alone meets, also where the
    quantizer is off and others read `x`. `see` must not change the tensors. A module that overwrites its input shows
    the result twice; a quantizer does not overwrite while it is watched. Raises SrqError for an unknown name, and once
    it runs for a module that does not map a tensor to a tensor.
    """
    sites: Mapping[str, Quantizer] = getattr(model, "quantizers", {})
    modules = dict(model.network.named_modules(remove_duplicate=False))
    watched = {name: sites[name] if name in sites else modules.get(name) for name in names}
    with ExitStack() as stack:
        for name, module in watched.items():
            if module is None:
                raise unknown("site or module", name, [*sites, *filter(None, modules)])
            if isinstance(module, Quantizer):
                stack.callback(setattr, module, "inplace", module.inplace)
                module.inplace = False
                # A product passes its operands through quantizers that are off only where somebody looks.
                stack.callback(module.register_forward_pre_hook(_look).remove)
            stack.callback(module.register_forward_hook(_hook(name, see), with_kwargs=True).remove)
        yield


def apart(v: Tensor) -> Tensor:
    """The same numbers as a tensor of its own: its gradient leaves out what others who read `v` do with it."""
    return v.view_as(v)


def _look(_module: nn.Module, _args: object) -> None:
    pass


def _hook(name: str, see: Callable[[str, Tensor, Tensor], object]) -> Callable[..., Tensor | None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], y: object) -> Tensor | None:
        x = next(iter([*args, *kwargs.values()]), None)
        if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
            raise SrqError(f"module {name} does not map a tensor to a tensor")
        alone = apart(y) if isinstance(module, Quantizer) and y is x and y.requires_grad else None
        see(name, x, y if alone is None else alone)
        return alone

    return hook
