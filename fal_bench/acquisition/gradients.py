"""Gradients of the last layer's loss, as if a label were known."""

from __future__ import annotations

import numpy as np

from fal_bench.acquisition.points import OuterProducts
from fal_bench.arrays import IntArray, RealArray


def last_layer_gradients(
    embeddings: RealArray, probs: RealArray, labels: IntArray | None = None
) -> OuterProducts:
    """Return the cross-entropy loss's gradients with respect to the head's weights.

    For the label y the gradient is (p - onehot(y)) (x) z, of length n_classes * d (Ash et al.,
    ICLR 2020, where it is called the gradient embedding).

    Args:
        embeddings: inputs z of the head, shape (n, d).
        probs: softmax outputs p, shape (n, n_classes).
        labels: shape (n,); the predicted classes if None ("hallucinated" gradients).
    """
    errors = np.array(probs, dtype=np.float64)
    predicted = errors.argmax(axis=1) if labels is None else labels
    errors[np.arange(len(errors)), predicted] -= 1
    return OuterProducts(errors, embeddings)
