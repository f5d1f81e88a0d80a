"""What a trainer is shown belongs to the engine."""

from __future__ import annotations

import numpy as np

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import CLASSES, Shown, mixtures, ordinary
from fal_bench.conformance.digest import digests
from fal_bench.conformance.trainer_subject import TrainerSubject
from fal_bench.plugins.trainer import LocalBatch


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    _check(subject, ordinary(), "losses")
    if subject.mixes:
        _check(subject, mixtures(), "mixed_losses")
    logits = np.linspace(-2, 2, 4 * CLASSES, dtype=np.float32).reshape(4, CLASSES)
    before = logits.copy()
    subject.see_probs(logits)
    if not np.array_equal(before, logits):
        raise Failure("probs changed its logits in place.")


def _check(subject: TrainerSubject, shown: Shown, method: str) -> None:
    trainer = subject.made
    logits, before = shown.logits.clone(), digests(shown.batch)

    def compute() -> object:
        if isinstance(shown.batch, LocalBatch):
            return trainer.losses(logits, shown.batch)
        return trainer.mixed_losses(logits, shown.batch)

    subject.call(compute, method, str(shown))
    after = digests(shown.batch)
    names = [f"batch.{name}" for name in before if before[name] != after[name]]
    if not logits.equal(shown.logits):
        names.insert(0, "its logits")
    if names:
        raise Failure(f"{method} changed {', '.join(names)} in place.", str(shown))


CHECK = Check(
    "mutation",
    "logits and batches are not changed",
    "Work on copies: no operation that ends in an underscore on what is passed in, and no "
    "assignment into it.",
    _run,
)
