"""Scores stay finite where predictions are extreme."""

from __future__ import annotations

import torch

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.subject import Subject
from fal_bench.learning.model import Weights

STEEP = 1e4


def _run(subject: Subject) -> None:
    trial = subject.ordinary
    if trial.numeric:
        raise Failure(f"NumPy warned: {trial.numeric[0]}", trial.where())
    subject.survives(subject.setting(), "With a model of constant logits", retrain=_constant)
    subject.survives(
        subject.setting(), "With a model whose probabilities are exactly 0 and 1", retrain=_steep
    )


def _constant(weights: Weights) -> Weights:
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


def _steep(weights: Weights) -> Weights:
    return {
        name: tensor * STEEP if name.startswith("head.") else tensor
        for name, tensor in weights.items()
    }


CHECK = Check(
    "finite-scores",
    "no invalid value, even with constant or saturated predictions",
    "Keep log(0), 0/0 and divisions by a zero spread out of the scores; "
    "fal_bench.acquisition.scores.entropy shows how. Where a warning is meant, say so with "
    "np.errstate.",
    _run,
)
