"""Losses have a gradient, or nothing would be learned."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.batches import ordinary
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    gradient = subject.ordinary.gradient
    if gradient is None:
        raise Failure("The losses do not depend on the logits.", str(ordinary()))
    still = (gradient == 0).all(-1).all(-1)
    if still.any():
        lane = int(still.nonzero()[0])
        raise Failure(f"The gradient of lane {lane} is 0 everywhere.", str(ordinary()))


CHECK = Check(
    "gradients",
    "losses have a gradient",
    "Compute losses from the logits with differentiable operations; detach() and argmax() cut "
    "the gradient.",
    _run,
)
