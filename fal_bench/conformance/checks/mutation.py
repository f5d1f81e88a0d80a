"""Nothing that a strategy is shown is changed in place."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.subject import Subject


def _run(subject: Subject) -> None:
    trial = subject.ordinary
    changed = [*trial.watch.mutated, *trial.mutated]
    if changed:
        raise Failure(f"It changed in place: {', '.join(dict.fromkeys(changed))}.", trial.where())


CHECK = Check(
    "mutation",
    "models, views, samples and the pool are not changed",
    "Work on copies: client.global_model.module() gives a network of your own, array.copy() an "
    "array of your own.",
    _run,
)
