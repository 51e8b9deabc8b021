"""What a method learned, noted from stage to stage."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...quantization.state.network_tensors import network_tensors, tensors_sha256
from ...records.record import Learned

if TYPE_CHECKING:
    from torch import nn

    from ...quantization.student import Student


class Learning:
    """Hashes of the network's tensors and steps of training: at first, and behind each stage."""

    def __init__(self, teacher: nn.Module) -> None:
        self._tensors, self._steps = [tensors_sha256(teacher.state_dict())], [0]

    def note(self, student: Student, steps: int) -> None:
        """The end of a stage; `steps` are all so far."""
        self._tensors.append(tensors_sha256(dict(network_tensors(student))))
        self._steps.append(steps)

    def learned(self, patches: int) -> Learned:
        """The class of the method: it trained weights if a stage with steps changed them."""
        changed = [one != other for one, other in pairwise(self._tensors)]
        trained = any(each and now > before for each, (before, now) in zip(changed, pairwise(self._steps), strict=True))
        closed = self._tensors[-1] != self._tensors[0]
        weights: Any = "trained" if trained else "closed form" if closed else "kept"
        return Learned(weights=weights, steps=self._steps[-1], patches=patches)
