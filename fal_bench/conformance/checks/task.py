"""Some small task suits the strategy, so that it can be run."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject


def _run(subject: Subject) -> str:
    return f"runs in the world {subject.world.name!r}"


CHECK = Check(
    "task",
    "a small task suits it",
    "Let check_task and check_shares raise InvalidSpecError only for what the strategy cannot do "
    "without; it must accept one of the worlds plain (a query pool only), shares (all four "
    "shares) and images (all four shares, images of 16x16).",
    _run,
)
