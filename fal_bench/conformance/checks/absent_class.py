"""A class that nobody has labelled yet."""

from __future__ import annotations

import numpy as np

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.variants import labelled, with_labels


def _run(subject: Subject) -> None:
    setting = subject.setting()
    absent = setting.dataset.n_classes - 1
    ids = labelled(setting)
    of_it = ids[(setting.dataset.train_labels[ids] == absent).numpy()]
    others = with_labels(setting, of_it, 0)
    counts = np.bincount(others.dataset.train_labels[ids], minlength=absent + 1)
    assert counts[absent] == 0
    assert (counts > 0).sum() > 1
    subject.survives(others, f"With no labelled sample of class {absent}")


CHECK = Check(
    "absent-class",
    "a class without a labelled sample",
    "Count with minlength=client.n_classes, and keep class counts of 0 out of divisions and "
    "logarithms.",
    _run,
)
