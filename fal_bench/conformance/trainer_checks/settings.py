"""Settings of the process are left alone: other trainings run in it too."""

from __future__ import annotations

import numpy as np

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import CLASSES
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    subject.see_probs(np.eye(CLASSES, dtype=np.float32))
    if subject.settings:
        raise Failure(f"It changed {', '.join(sorted(subject.settings))}.")


CHECK = Check(
    "settings",
    "settings of the process are left as they were",
    "Change settings only inside a context that puts them back (np.errstate, torch.no_grad).",
    _run,
)
