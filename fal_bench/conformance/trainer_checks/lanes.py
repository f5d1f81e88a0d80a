"""A client's losses depend on no other client's."""

from __future__ import annotations

import torch

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import LANES, Shown, ordinary
from fal_bench.conformance.trainer_checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.trainer_subject import TrainerSubject

TOLERANCE = 1e-4


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    subject.require(REPEATABLE)
    check_lanes(subject, ordinary())


def check_lanes(subject: TrainerSubject, shown: Shown) -> None:
    """Check that each lane has the losses that it has alone, without an axis of lanes.

    Raises:
        Failure: it has not.
    """
    together = subject.losses(shown).values
    for lane in range(LANES):
        alone = subject.losses(shown.lane(lane)).values
        close = torch.isclose(together[lane], alone, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if not close.all():
            raise Failure(f"Lane {lane} has other losses alone than beside others.", str(shown))


CHECK = Check(
    "lanes",
    "a client has the same losses alone and beside others",
    "Lanes of many clients are trained at once: name axes from the end (-1 classes, -2 rows), "
    "and use keepdim or unsqueeze(-1) before combining what has no axis of rows (class_counts, "
    "round).",
    _run,
)
