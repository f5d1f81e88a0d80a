"""Global random streams are left alone."""

from __future__ import annotations

import numpy as np

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import CLASSES
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    subject.see_probs(np.eye(CLASSES, dtype=np.float32))
    if subject.random:
        streams = ", ".join(sorted(subject.random))
        raise Failure(f"It drew from, or seeded, a global random stream: {streams}.")


CHECK = Check(
    "global-random",
    "global random streams are neither read nor touched",
    "A loss must not draw: with draws of its own no run could be repeated. Mixtures of "
    "unlabelled samples are drawn by the harness (mixes_unlabelled).",
    _run,
)
