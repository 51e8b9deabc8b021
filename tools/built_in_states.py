"""Renew the states that `srq upscale` has built in, from records of suite sample: `python tools/built_in_states.py`.

Each weight becomes what its quantizer makes of it. The student stays the same to the last bit, and 16 distinct values
take a sixth of the room in a wheel.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sr_ptq_bench.progress import Silent
from sr_ptq_bench.protocol.suite import Suite
from sr_ptq_bench.quantization.state.save_load import load_state, save_state
from sr_ptq_bench.quantization.student import Student
from sr_ptq_bench.records.files import read_result
from sr_ptq_bench.runs.prepare import load_network
from sr_ptq_bench.runs.restore import spec_of
from sr_ptq_bench.runs.session import Session
from sr_ptq_bench.upscaling.networks import STATES

RECORDS = Path(__file__).parents[1] / "leaderboards/results/sample"


def with_quantized_weights(student: Student) -> Student:
    """The student, its weights replaced by their quantized values."""
    with torch.no_grad():
        for name, weight in student.weights.items():
            weight.copy_(student.quantizers[name](weight))
    return student


def renew(session: Session) -> None:
    """Write the states of DAT-light at 4 bits by cotrain, one for each scale."""
    for path in sorted(RECORDS.glob("cotrain-w4a4-x*-s0-*.json")):
        result = read_result(path)
        if result.record.spec.model != "dat-light":
            continue
        teacher, _, _ = load_network(spec_of(result.record, Suite.load("sample")), session)
        student = with_quantized_weights(load_state(result.state, teacher))
        name = f"dat_light_x{result.record.spec.scale}_cotrain_w4a4.safetensors"
        (STATES / name).write_bytes(save_state(student, teacher))


if __name__ == "__main__":
    renew(Session.open(Silent(), device="cpu"))
