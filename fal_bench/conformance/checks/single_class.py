"""Labels of one class only."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.variants import labelled, with_labels


def _run(subject: Subject) -> None:
    setting = subject.setting()
    one = with_labels(setting, labelled(setting), 0)
    subject.survives(one, "With all labelled samples of class 0")


CHECK = Check(
    "single-class",
    "all labelled samples of one class",
    "Take the number of classes from client.n_classes, and let statistics over classes cope with "
    "a single one.",
    _run,
)
