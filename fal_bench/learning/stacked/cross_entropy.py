"""The gradient of the cross-entropy, written by hand."""

from __future__ import annotations

from torch import Tensor

from fal_bench.learning.stacked.batch import Batch


def cross_entropy_gradient(logits: Tensor, batch: Batch) -> Tensor:
    """Return the gradient of every slot's mean cross-entropy, 0 in rows of padding.

    Args:
        logits: shape (slots, rows, classes); left as they are.
        batch: gives labels and counts.

    Returns:
        Shape (slots, rows, classes).
    """
    gradient = logits.softmax(2)
    truth = batch.labels.unsqueeze(2)
    gradient.scatter_add_(2, truth, gradient.new_full((), -1.0).expand(truth.shape))
    return gradient.mul_(batch.shares.unsqueeze(2))
