"""Subsets: which samples of a data set are used."""

from __future__ import annotations

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.apportionment import largest_remainder
from fal_bench.errors import InvalidSpecError

# Fixed for good: another value would be another data set under the same name.
_ORDER_SEED = 2026


def chosen_rows(
    dataset: str, part: str, labels: IntArray, count: int | None, shuffle: bool = False
) -> IntArray | None:
    """Return which rows of a part are used, and in which order; the same in every run.

    A subset takes the first samples of each class in a fixed random order. It keeps the proportions
    of the classes as well as whole numbers can, with at least one sample of each. Rows stay in the
    order of the source unless ``shuffle`` asks for a fixed random order, for sources that may be
    sorted by class.

    Args:
        dataset: name of the data set, for messages.
        part: ``"train"`` or ``"test"``; also the name of the parameter.
        labels: the class of each row; shape (n,).
        count: how many rows; None for all.
        shuffle: whether the order of the source may say something of the class.

    Returns:
        Positions in ``labels``; None for all rows as they are.

    Raises:
        InvalidSpecError: there are not as many rows, or fewer are wanted than there are classes.
    """
    if count is None and not shuffle:
        return None
    order = np.random.default_rng(_ORDER_SEED).permutation(len(labels))
    if count is None:
        return order
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if not len(sizes) <= count <= len(labels):
        raise InvalidSpecError(
            f"Data set {dataset!r} can have {len(sizes)} (one a class) to {len(labels)} {part} "
            f"samples, not {count}; change {part}."
        )
    wanted = 1 + largest_remainder(np.maximum(sizes - 1, 1e-9), count - len(sizes))
    rank = np.empty(len(labels), dtype=np.int64)
    for number in range(len(sizes)):
        members = order[classes[order] == number]
        rank[members] = np.arange(len(members))
    used = rank < wanted[classes]
    return order[used[order]] if shuffle else np.flatnonzero(used)


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
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if ratio == 1 or len(counts) < 2:
        return np.arange(len(labels))
    falling = counts.max() * ratio ** -np.linspace(0, 1, len(counts))
    keep = np.clip(np.rint(falling).astype(np.int64), 1, counts)
    members = [np.flatnonzero(classes == k) for k in range(len(counts))]
    return np.sort(
        np.concatenate([rng.permutation(own)[:n] for own, n in zip(members, keep, strict=True)])
    )
