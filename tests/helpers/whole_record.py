"""A whole record as its file holds it, and changes of it."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from sr_ptq_bench.records.fields import SCHEMA_VERSION
from sr_ptq_bench.records.record import Record

COMPLEXITY = {"parameters": {"32": 218952, "4": 691200}, "macs": {"32": 43545600, "8": 224133120}, "lr_pixels": 256}
STATE = b"the state of a student"
SHA = {digit: digit * 64 for digit in "0123456789abcdef"}


def scores(psnr: float, ssim: float = 0.5) -> dict[str, Any]:
    images = {"baby": {"psnr": psnr, "ssim": ssim}, "bird": {"psnr": psnr, "ssim": ssim}}
    return {"Set5": {"images": images, "mean": {"psnr": psnr, "ssim": ssim}}}


def content() -> dict[str, Any]:
    """A whole record as its file holds it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "spec": {
            "method": "2dquant",
            "parts": ["dobi", "dqc"],
            "bits": {"weight": 4, "activation": 8},
            "scale": 2,
            "seed": 0,
            "model": "swinir-light",
            "suite": "sample",
            "options": {
                "dobi": {"K": 100},
                "dqc": {"lr": 0.01, "flips": True, "betas": [0.9, 0.999], "x": None},
            },
            "padding": "flip",
            "calibration": {"patches": 32, "size": 64},
            "scope": "linear",
        },
        "scope": {
            "short": "linear+matmul",
            "description": "Linear layers and matrix products",
            "sites": 384,
            "quantized_weights": 691200,
            "parameters": 910152,
        },
        "complexity": COMPLEXITY,
        "scores": scores(37.5),
        "not_scored": [],
        "references": {"fp": scores(38.0), "bicubic": scores(33.68), "bilinear": scores(32.25)},
        "figures": {"checkpoint": "last", "loss": [0.5, 0.25], "iterations": 3000},
        "environment": {
            "versions": {"torch": "2.2"},
            "device": "cpu",
            "threads": 2,
            "platform": "Linux",
            "cpu": "x",
        },
        "hashes": {"weights": SHA["a"], "calibration": SHA["b"], "test": {"Set5": SHA["c"]}, "plugins": {}},
        "state_sha256": hashlib.sha256(STATE).hexdigest(),
        "timings": {"calibrate": 1.5, "total": 2.0},
        "peak_memory_bytes": 1024,
        "created": "2025-01-31T12:00:00Z",
    }


def parsed(value: dict[str, Any]) -> Record:
    return Record.model_validate_json(json.dumps(value), strict=True)


def mixed() -> dict[str, Any]:
    """The content with the bits of the sites that differ from those of the run."""
    entries = list(content().items())
    return dict([*entries[:3], ("site_bits", {"layers.0.weight": 3, "layers.1.weight": 5}), *entries[3:]])


OTHER = {"images": {"other": {"psnr": 1.0}}, "mean": {"psnr": 1.0}}


def changed(*where: str | int, to: Any, of: dict[str, Any] | None = None) -> dict[str, Any]:
    """The content, or `of`, with the value at this place set."""
    value = copy.deepcopy(of or content())
    place: Any = value
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = to
    return value


def written(folder: Path, value: Any) -> Path:
    path = folder / "r.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path
