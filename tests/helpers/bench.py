"""`srq run` on the tiny suite with something in it that is refused."""

from __future__ import annotations

from pathlib import Path

from tiny import FILE, TinySuite


class Bench:
    """`srq run` on the tiny suite, and the folder that must stay empty where it is refused."""

    def __init__(self, srq, suite: TinySuite, out: Path) -> None:
        self.srq, self.suite, self.out = srq, suite, out
        self.folder = suite.folder
        self.test = suite.folder / "test"
        self.weights = suite.folder / "weights.safetensors"

    def __call__(self, *more, **named):
        fixed = {"method": "minmax", "bits": "4", "scale": 2, "suite": self.suite.path, "out": self.out} | named
        words = [word for key, value in fixed.items() for word in (f"--{key}", value)]
        return self.srq("run", "--plugin", FILE, *words, *more)

    def refuses(self, *expected, more=(), **named):
        """The run is refused with a line that holds all of `expected`."""
        outcome = self(*more, **named)
        lines = outcome.err.splitlines()
        assert outcome.status == 2, outcome
        assert outcome.out == ""
        assert len(lines) == 1, outcome.err
        assert lines[0].startswith("srq: ")
        assert [text for text in map(str, expected) if text not in lines[0]] == [], lines[0]
        assert "Error" not in lines[0]
        assert not self.out.exists()
        assert not list(self.folder.parent.rglob(".srq-*"))
