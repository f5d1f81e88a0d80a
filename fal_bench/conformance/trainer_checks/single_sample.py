"""A batch may hold one sample."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.batches import ordinary
from fal_bench.conformance.trainer_checks.finite import check_finite
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    for shown in (ordinary(rows=1), ordinary(rows=1).lane(0)):
        check_finite(subject, shown, "a single sample")


CHECK = Check(
    "single-sample",
    "a batch of one sample has a finite loss",
    "The last batch of an epoch may hold one sample: no squeeze() without an axis, no spread "
    "over a batch.",
    _run,
)
