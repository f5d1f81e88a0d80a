"""A coordinated strategy answers for all clients, and sends arrays."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure, NotApplicable
from fal_bench.conformance.subject import Subject
from fal_bench.plugins.strategy import Strategy


def _run(subject: Subject) -> str:
    if subject.kind.select_all is Strategy.select_all:
        raise NotApplicable("it selects client by client")
    trial = subject.ordinary
    if trial.watch.unsendable:
        raise Failure(f"A message is no array: {trial.watch.unsendable[0]}.", trial.where())
    return f"{trial.messages} bytes of messages in {len(trial.journal.states)} queries"


CHECK = Check(
    "coordination",
    "all clients are answered, and messages are arrays",
    "Return one selection a client, in order; let gather's function return a NumPy array, whose "
    "bytes are counted, and broadcast nothing else.",
    _run,
)
