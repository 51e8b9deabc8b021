"""Trainings of small networks, alone or killed."""

from __future__ import annotations

import pytest
from oracle import bounded, images, normed
from training import (
    Killed,
    supply,
    teacher_and_student,
    train_everything,
)

from sr_ptq_bench.quantization.randomness import generator_states, seed_generators
from sr_ptq_bench.quantization.state.save_load import save_state


def transformer():
    return teacher_and_student("3")


def with_norms():
    """A student whose norms are in training, so that every forward pass changes their buffers."""
    teacher = normed()
    student = bounded(teacher, "3", images(1, 16))
    student.network.train()
    return teacher, student


NETWORKS = {"transformer": transformer, "norms": with_norms}


def calibrated(network, checkpoint, train=train_everything):
    """The state of the student, the log, and where the global generators are, after a whole calibration."""
    teacher, student = NETWORKS[network]()
    seed_generators(5)
    log = train(student, teacher, supply(), checkpoint)
    return save_state(student, teacher), log, {name: state.tolist() for name, state in generator_states().items()}


def killed(network, checkpoint, train=train_everything):
    with pytest.raises(Killed):
        calibrated(network, checkpoint, train)
