"""The process's global random streams are neither read nor touched."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.checks.compare import first_difference
from fal_bench.conformance.checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.subject import Subject

OTHER_GLOBAL_SEED = 12345


def _run(subject: Subject) -> None:
    first, again = subject.ordinary, subject.again
    if again.random:
        raise Failure(
            f"It drew from, or seeded, a global random stream: {', '.join(again.random)}.",
            again.where(),
        )
    subject.require(REPEATABLE)
    other = subject.run(subject.setting(), global_seed=OTHER_GLOBAL_SEED)
    difference = first_difference(first.picks, other.picks)
    if other.error is not None or difference is not None:
        raise Failure(
            "With the global random streams at another place it selects other samples.",
            first.where(*(difference or ())),
        )


CHECK = Check(
    "global-random",
    "global random streams are neither read nor touched",
    "Use client.rng instead of np.random, random or torch's default generator; for torch, make a "
    "torch.Generator and seed it from client.rng.",
    _run,
)
