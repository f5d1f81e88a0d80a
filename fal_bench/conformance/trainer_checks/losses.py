"""One loss a sample, for one client or many at once."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.batches import ordinary
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    subject.losses(ordinary().lane(0))


CHECK = Check(
    "losses",
    "losses returns one loss a sample, for any leading axes",
    "Return a tensor of the shape of batch.labels: reduce over the last axis (classes) only, "
    "name axes from the end (-1, -2), and let the harness take the mean.",
    _run,
)
