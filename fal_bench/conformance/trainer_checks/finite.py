"""Losses and gradients stay finite, however sure the model is."""

from __future__ import annotations

from fal_bench.conformance.base import Check, Failure, Raised
from fal_bench.conformance.batches import Shown, confident, ordinary
from fal_bench.conformance.trainer_subject import TrainerSubject


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    for shown, words in ((ordinary(), "ordinary logits"), (confident(), "logits of +-150")):
        check_finite(subject, shown, words)


def check_finite(subject: TrainerSubject, shown: Shown, words: str) -> None:
    """Check that losses and gradients of a batch are finite.

    Raises:
        Failure: they are not.
    """
    try:
        found = subject.losses(shown)
    except Raised as raised:  # what to do about it, the check knows best
        raise Failure(raised.what, raised.where) from None
    if not found.values.isfinite().all():
        raise Failure(f"With {words} a loss is not finite.", str(shown))
    if found.gradient is not None and not found.gradient.isfinite().all():
        raise Failure(f"With {words} a gradient is not finite.", str(shown))


CHECK = Check(
    "finite",
    "losses and gradients are finite, also where the model is sure and wrong",
    "Take logits.log_softmax(-1) instead of the logarithm of a softmax, and clamp what may be 0 "
    "before a logarithm, a root or a division.",
    _run,
)
