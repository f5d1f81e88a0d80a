"""Cross-entropy: the trainer of every comparison that asks for no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fal_bench.plugins.trainer import LocalBatch, Trainer

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Trainer):
    """Cross-entropy of the softmax."""

    name: ClassVar[str] = "cross-entropy"
    version: ClassVar[int | None] = 1

    def losses(self, logits: Tensor, batch: LocalBatch) -> Tensor:
        """Return -log softmax(logits)[label]."""
        truth = batch.labels.unsqueeze(-1)
        return -logits.log_softmax(-1).gather(-1, truth).squeeze(-1)


CROSS_ENTROPY = CrossEntropy()
"""The default."""
