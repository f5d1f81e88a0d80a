"""Settings of the process are left alone: other strategies run in it too."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.subject import Subject


def _run(subject: Subject) -> None:
    trial = subject.again
    if trial.settings:
        raise Failure(f"It changed {', '.join(trial.settings)}.", trial.where())


CHECK = Check(
    "settings",
    "settings of the process are left as they were",
    "Change settings only inside a context that puts them back (np.errstate, torch.no_grad); "
    "other strategies run in the same process.",
    _run,
)
