"""The same stream gives the same picks."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.checks.compare import first_difference
from fal_bench.conformance.subject import Subject


def _run(subject: Subject) -> None:
    first, again = subject.ordinary, subject.again
    difference = first_difference(first.picks, again.picks)
    if difference is not None:
        raise Failure(
            "Run twice on the same input and the same random stream, it selects other samples.",
            first.where(*difference),
        )


CHECK = Check(
    "repeatable",
    "same input and same stream, same picks",
    "Draw from client.rng (federation.rng at the server) and nothing else; keep clocks, fresh "
    "generators such as np.random.default_rng(), and state on the class or in the module out of "
    "it.",
    _run,
)
