"""What is returned are positions, as many as the budget asks for."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject


def _run(subject: Subject) -> str:
    bought = sum(map(len, subject.ordinary.picks.values()))
    return f"{bought} samples in {len(subject.ordinary.journal.states)} queries"


CHECK = Check(
    "positions",
    "exact number of distinct positions of unlabelled samples, as integers",
    "Return positions in client.unlabelled (not ids), each once, exactly `budget` of them; an "
    "adaptive strategy (adaptive = True) may return fewer.",
    _run,
)
