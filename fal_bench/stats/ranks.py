"""Ranks of strategies by the labels that they need."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SAME = 1e-9


def rank(scores: ArrayLike, reached: ArrayLike, accuracy: ArrayLike) -> NDArray[np.int64]:
    """Rank strategies by mean log labels; those that never reached come after those that did.

    Among those that never reached, ties are broken by accuracy, the better one first and an unknown
    one (NaN) last. Equal strategies share the better rank.

    Args:
        scores: mean log labels, shape (n_strategies,).
        reached: whether any run reached, shape (n_strategies,).
        accuracy: mean accuracy at the cap, shape (n_strategies,).

    Returns:
        Ranks from 1, shape (n_strategies,).
    """
    labels = np.asarray(scores, dtype=float)
    never = ~np.asarray(reached, dtype=bool)
    known = np.nan_to_num(np.asarray(accuracy, dtype=float), nan=-np.inf)
    merit = np.where(never, known, 0.0)
    mine, other = (slice(None), None), (None, slice(None))
    close = np.abs(labels[mine] - labels[other]) <= _SAME
    better = (never[other] < never[mine]) | (
        (never[other] == never[mine])
        & ((~close & (labels[other] < labels[mine])) | (close & (merit[other] > merit[mine])))
    )
    places: NDArray[np.int64] = 1 + better.sum(axis=-1)
    return places
