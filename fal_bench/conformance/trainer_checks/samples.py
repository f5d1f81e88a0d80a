"""A sample's loss depends on no other sample."""

from __future__ import annotations

import torch

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import Shown, ordinary
from fal_bench.conformance.trainer_checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.trainer_subject import TrainerSubject

TOLERANCE = 1e-4


def _run(subject: TrainerSubject) -> None:
    shown, before = ordinary(), subject.ordinary.values
    subject.require(REPEATABLE)
    half = shown.logits.shape[-2] // 2
    logits = shown.logits.clone()
    logits[..., half:, :] = -3 * logits[..., half:, :]
    after = subject.losses(Shown(logits, shown.batch)).values
    same = torch.isclose(
        before[..., :half], after[..., :half], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
    )
    if not same.all():
        raise Failure(
            "Other logits of the last samples of a batch change the losses of the first.",
            str(shown),
        )


CHECK = Check(
    "samples",
    "the loss of a sample depends on no other sample of its batch",
    "Compute each loss from its own row and batch.class_counts; do not normalise over a batch: "
    "some of its rows are padding, which no trainer can tell apart.",
    _run,
)
