"""Logits become class probabilities."""

from __future__ import annotations

import numpy as np

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import CLASSES, confident, ordinary
from fal_bench.conformance.trainer_subject import TrainerSubject

TOLERANCE = 1e-4


def _run(subject: TrainerSubject) -> None:
    for shown, words in ((ordinary(), "ordinary logits"), (confident(), "logits of +-150")):
        _check(subject, shown.logits.reshape(-1, CLASSES).numpy(), words)


def _check(subject: TrainerSubject, logits: np.ndarray, words: str) -> None:
    probs = subject.probs(logits.copy())
    if not isinstance(probs, np.ndarray) or probs.shape != logits.shape:
        got = getattr(probs, "shape", type(probs).__name__)
        raise Failure(f"probs returned {got} instead of an array of shape {logits.shape}.")
    if not np.isfinite(probs).all() or (probs < 0).any():
        raise Failure(f"With {words} a probability is negative or not finite.")
    sums = probs.sum(axis=1)
    if np.abs(sums - 1).max() > TOLERANCE:
        worst = sums[np.abs(sums - 1).argmax()]
        raise Failure(f"With {words} a row of probabilities sums to {worst:.4g}, not to 1.")
    alone = subject.probs(logits[:1].copy())
    if not np.allclose(alone, probs[:1], rtol=TOLERANCE, atol=TOLERANCE):
        raise Failure("A sample has other probabilities alone than beside others.")


CHECK = Check(
    "probs",
    "probs turns logits into probabilities, sample by sample",
    "Return an array of the shape of the logits, not negative, whose rows sum to 1; leave probs "
    "out for the softmax.",
    _run,
)
