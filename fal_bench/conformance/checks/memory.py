"""What a strategy remembers survives saving and loading, and it remembers nothing elsewhere."""

from __future__ import annotations

from fal_bench.conformance.advice import told
from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.checks.compare import first_difference
from fal_bench.conformance.checks.global_random import CHECK as GLOBAL_RANDOM
from fal_bench.conformance.subject import OTHER_SEED, Subject
from fal_bench.conformance.trial import QUERIES, as_resumed


def _run(subject: Subject) -> str:
    straight = subject.ordinary
    subject.require(GLOBAL_RANDOM)
    # What it keeps outside its memory is now that of another federation, as it would be in a
    # worker that runs several runs.
    subject.run(subject.setting(OTHER_SEED))
    state = as_resumed(straight.journal.states[0])
    resumed = subject.run(subject.setting(), start=state, queries=QUERIES - 1)
    if resumed.error is not None:
        raise Failure(
            f"After a resume it failed: {told(resumed.error, subject.kind)}", resumed.place
        )
    difference = first_difference(straight.picks, resumed.picks)
    if difference is not None:
        client, cycle = difference
        raise Failure(
            "Resumed from a checkpoint after the first query, it selects other samples than in "
            "one go: it remembers something outside client.memory.",
            straight.where(client, cycle),
        )
    kept = sorted({name for own in straight.journal.states[-1].memories for name in own})
    return "remembers " + ", ".join(kept) if kept else "remembers nothing"


CHECK = Check(
    "memory",
    "what it remembers survives saving and loading",
    "Keep all state in client.memory (or federation.memory), as JSON values and NumPy arrays; "
    "not on the class, in the module or in a file.",
    _run,
)
