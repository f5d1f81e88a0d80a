"""The same batch has the same losses, whatever came before."""

from __future__ import annotations

import torch

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import mixtures, ordinary
from fal_bench.conformance.trainer_checks.global_random import CHECK as GLOBAL_RANDOM
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    first = subject.ordinary.values
    subject.require(GLOBAL_RANDOM)
    for _ in range(2):
        if not torch.equal(first.nan_to_num(), subject.losses(ordinary()).values.nan_to_num()):
            raise Failure("The same batch has other losses when it comes again.", str(ordinary()))
    if subject.mixes:
        pair = [subject.losses(mixtures()).values.nan_to_num() for _ in range(2)]
        if not torch.equal(*pair):
            raise Failure("The same mixtures have other losses when they come again.")


CHECK = Check(
    "repeatable",
    "the same batch has the same losses, whatever came before",
    "Keep nothing in the trainer between calls: runs of several strategies share its code, and "
    "resumed runs start it anew. What a loss may know is in the batch.",
    _run,
)
