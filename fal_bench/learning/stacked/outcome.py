"""What a step tells about the batches that it was taken on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fal_bench.arrays import RealArray


@dataclass(frozen=True)
class Outcome:
    """What the networks said before they moved.

    Attributes:
        logits: shape (slots, rows, outputs).
        losses: the loss of every sample, 0 for padding, shape (slots, rows); None where the step
            has no need to compute it.
    """

    logits: Tensor
    losses: Tensor | None = None

    @property
    def total_losses(self) -> RealArray:
        """Sum of each slot's losses, shape (slots,)."""
        assert self.losses is not None
        total: RealArray = self.losses.sum(1).numpy(force=True)
        return total
