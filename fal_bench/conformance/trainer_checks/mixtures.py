"""Losses of mixtures keep the same rules."""

from __future__ import annotations

from fal_bench.conformance.base import Check, NotApplicable
from fal_bench.conformance.batches import mixtures
from fal_bench.conformance.trainer_checks.finite import check_finite
from fal_bench.conformance.trainer_checks.lanes import check_lanes
from fal_bench.conformance.trainer_checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.trainer_checks.samples import check_samples
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    if not subject.mixes:
        raise NotApplicable("it mixes no unlabelled samples")
    subject.require(REPEATABLE)
    check_finite(subject, mixtures(), "mixtures")
    check_lanes(subject, mixtures())
    check_samples(subject, mixtures())


CHECK = Check(
    "mixtures",
    "mixed_losses returns one finite loss a mixture, alike alone and beside others",
    "Return a tensor of the shape of batch.weight; the advice of losses, finite, lanes and samples "
    "holds here too. A mixture's partner is the one other row that its loss may look at.",
    _run,
)
