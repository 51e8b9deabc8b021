"""What all runs of one process have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..cache.shared import Cache
from ..hooks.plugins import Plugins
from ..library.library import Library
from ..storage.home import default_home
from .environment import choose_device, keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ..progress import Reporter


@dataclass(frozen=True)
class Session:
    """Plugins, cache, library, device, and the reporter that all of them use."""

    plugins: Plugins
    cache: Cache
    library: Library
    device: str
    reporter: Reporter

    @classmethod
    def open(
        cls,
        reporter: Reporter,
        plugin_files: Iterable[Path] = (),
        device: str = "auto",
        threads: int | None = None,
        home: Path | None = None,
    ) -> Session:
        """Load the plugins and choose device and CPU threads, by default those of torch; raises SrqError."""
        keep_freed_memory()
        if threads is not None:
            torch.set_num_threads(threads)
        home = home or default_home()
        return cls(
            Plugins(plugin_files),
            Cache(home, reporter.say),
            Library(home, reporter),
            choose_device(device),
            reporter,
        )
