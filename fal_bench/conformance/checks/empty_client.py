"""A client whose pool is used up."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.variants import with_left


def _run(subject: Subject) -> None:
    setting = subject.setting()
    subject.survives(with_left(setting, {0: 0}), "With nothing left to label at client 0")


CHECK = Check(
    "empty-client",
    "a client with nothing left to label",
    "select is not called then, but the functions given to gather and each are: let them cope "
    "with client.unlabelled of length 0.",
    _run,
)
