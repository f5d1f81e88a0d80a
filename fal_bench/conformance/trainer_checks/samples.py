"""A sample's loss depends on no other sample."""

from __future__ import annotations

import torch

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import Shown, ordinary
from fal_bench.conformance.trainer_checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.trainer_subject import TrainerSubject

TOLERANCE = 1e-4


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    subject.require(REPEATABLE)
    check_samples(subject, ordinary())


def check_samples(subject: TrainerSubject, shown: Shown) -> None:
    """Check that what one half of a batch shows does not change the losses of the other.

    Args:
        subject: the trainer.
        shown: a batch; partners of mixtures are of the same half.

    Raises:
        Failure: it does.
    """
    before = subject.losses(shown).values
    half = shown.logits.shape[-2] // 2
    for said, changed, kept in (
        ("last", slice(half, None), slice(half)),
        ("first", slice(half), slice(half, None)),
    ):
        after = subject.losses(shown.changed(changed)).values
        same = torch.isclose(
            before[..., kept], after[..., kept], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
        )
        if not same.all():
            raise Failure(
                f"Other logits and labels of the {said} samples of a batch change the losses of "
                "the others.",
                str(shown),
            )


CHECK = Check(
    "samples",
    "the loss of a sample depends on no other sample of its batch",
    "Compute each loss from its own row and batch.class_counts; do not normalise over a batch: "
    "some of its rows are padding, which no trainer can tell apart.",
    _run,
)
