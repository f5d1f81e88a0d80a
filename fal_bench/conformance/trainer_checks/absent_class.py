"""A client may have no labels of some class."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.batches import absent
from fal_bench.conformance.trainer_checks.finite import CHECK as FINITE
from fal_bench.conformance.trainer_checks.finite import check_finite
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    subject.require(FINITE)
    check_finite(subject, absent(), "clients that lack classes, and padding of label 0,")


CHECK = Check(
    "absent-class",
    "classes that a client has no label of leave losses and gradients finite",
    "batch.class_counts may hold zeros: clamp(min=1) before a division or a logarithm. Rows of "
    "padding have label 0, even where no sample has.",
    _run,
)
