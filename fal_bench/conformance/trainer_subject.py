"""A trainer under check: its losses and probabilities, and whether it mixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fal_bench.arrays import FloatArray
from fal_bench.conformance.base import Broken, Failure
from fal_bench.conformance.batches import Shown, mixtures, ordinary
from fal_bench.conformance.subject import ClassSubject, once
from fal_bench.plugins.registry import TRAINER
from fal_bench.plugins.trainer import Trainer


@dataclass(frozen=True)
class Losses:
    """What came of one call.

    Attributes:
        values: the losses.
        gradient: of their sum, shape of the logits; None if they do not depend on the logits.
    """

    values: Tensor
    gradient: Tensor | None


class TrainerSubject(ClassSubject[Trainer]):
    """One trainer under check."""

    kind = TRAINER
    base = Trainer

    @once
    def ordinary(self) -> Losses:
        """The losses of an ordinary batch; others are compared with them.

        Raises:
            Broken: there are none.
        """
        try:
            self.check_methods()
        except Failure as failure:
            raise Broken("declaration", failure) from None
        try:
            self.losses(ordinary().lane(0))
            return self.losses(ordinary())
        except Failure as failure:
            raise Broken("losses", failure) from None

    @once
    def mixes(self) -> bool:
        """Whether the trainer mixes unlabelled samples.

        Raises:
            Broken: it cannot be made, or its losses of mixtures cannot be computed.
        """
        _ = self.ordinary
        if self.concentration() is None:
            return False
        try:
            self.losses(mixtures())
            self.losses(mixtures().lane(0))
        except Failure as failure:
            raise Broken("mixtures", failure) from None
        return True

    def concentration(self) -> Any:
        """Return the trainer's ``mixes_unlabelled``.

        Raises:
            Failure: it raised or hung.
        """
        trainer = self.made
        return self.call(lambda: trainer.mixes_unlabelled, "mixes_unlabelled")

    def check_methods(self) -> None:
        """Check that the trainer overrides what it must.

        Raises:
            Failure: it does not.
        """
        if self.code.losses is Trainer.losses:
            raise Failure(f"{self.code.__name__} does not override losses.")
        mixes = self.concentration() is not None
        if mixes and self.code.mixed_losses is Trainer.mixed_losses:
            raise Failure("mixes_unlabelled is set, but mixed_losses is not overridden.")

    def losses(self, shown: Shown) -> Losses:
        """Return the losses of a batch, or of mixtures, and their gradient.

        Raises:
            Failure: the trainer raised or hung, or returned something else than one loss a sample.
        """
        trainer, method = self.made, shown.method

        def compute() -> Losses:
            leaf = shown.logits.clone().requires_grad_()
            # Not the leaf itself: that it must not be changed in place has a check of its own.
            values = getattr(trainer, method)(leaf * 1, shown.batch)
            expected = tuple(shown.logits.shape[:-1])
            if not isinstance(values, Tensor) or tuple(values.shape) != expected:
                got = "None" if values is None else f"a {type(values).__name__}"
                if isinstance(values, Tensor):
                    got = f"shape {tuple(values.shape)}"
                raise Failure(f"{method} returned {got} instead of shape {expected}.", str(shown))
            if not values.is_floating_point():
                raise Failure(f"{method} returned {values.dtype}, no losses.", str(shown))
            gradient = None
            if values.requires_grad:
                [gradient] = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
            return Losses(values.detach(), gradient)

        return self.call(compute, method, str(shown))

    def call_all(self) -> None:
        """Call every method, to see what else it does.

        Raises:
            Broken: one of them raised or hung.
        """
        given = [ordinary(), mixtures()] if self.mixes else [ordinary()]
        for shown in given:
            self.losses(shown)
        try:
            self.probs(torch.eye(ordinary().logits.shape[-1]).numpy())
        except Failure as failure:
            raise Broken("probs", failure) from None

    def probs(self, logits: FloatArray) -> Any:
        """Return what the trainer makes of logits.

        Raises:
            Failure: it raised or hung.
        """
        trainer = self.made
        return self.call(lambda: trainer.probs(logits), "probs", f"logits of {len(logits)} samples")
