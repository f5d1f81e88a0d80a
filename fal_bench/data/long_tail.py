"""Long-tailed training data: class frequencies that fall exponentially."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError


def long_tail(labels: IntArray, ratio: float, rng: np.random.Generator) -> IntArray:
    """Choose samples so that class counts fall exponentially with the class index.

    With C classes and n samples in the largest of them, the k-th class (k = 0 ... C - 1, in order
    of its label) keeps n * ratio^(-k / (C - 1)) samples, rounded; all it has if that is fewer, and
    never less than one. With ratio 1 every sample stays.

    Source of the profile: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples",
    CVPR 2019.

    Args:
        labels: the class of each sample; shape (samples,).
        ratio: size of the most over the least frequent class, at least 1.
        rng: the stream that the samples are drawn from.

    Returns:
        Sorted positions in ``labels`` of the samples to keep.

    Raises:
        InvalidSpecError: ``ratio`` is below 1.
    """
    if not ratio >= 1:
        raise InvalidSpecError(f"long_tail must be at least 1, not {ratio:g}; 1 keeps all samples.")
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if ratio == 1 or len(counts) < 2:
        return np.arange(len(labels))
    falling = counts.max() * ratio ** -np.linspace(0, 1, len(counts))
    keep = np.clip(np.rint(falling).astype(np.int64), 1, counts)
    members = [np.flatnonzero(classes == k) for k in range(len(counts))]
    return np.sort(
        np.concatenate([rng.permutation(own)[:n] for own, n in zip(members, keep, strict=True)])
    )
