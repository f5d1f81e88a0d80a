"""The last sample of a pool."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.variants import with_left


def _run(subject: Subject) -> None:
    setting = subject.setting()
    left = dict.fromkeys(range(len(setting.shares)), 1)
    subject.survives(with_left(setting, left), "With one sample left at every client")


CHECK = Check(
    "one-left",
    "one sample left",
    "Let clustering, nearest neighbours and statistics over the pool cope with a single sample.",
    _run,
)
