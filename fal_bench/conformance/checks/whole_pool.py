"""More budget than samples."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.variants import with_purse_above_pool


def _run(subject: Subject) -> None:
    setting = with_purse_above_pool(subject.setting())
    subject.survives(setting, "With a budget for the whole pool")


CHECK = Check(
    "whole-pool",
    "a budget above the pool, cut to the pool by the harness",
    "Let select work with budget == len(client.unlabelled).",
    _run,
)
