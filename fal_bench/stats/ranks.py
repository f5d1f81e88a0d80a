"""Ranks of strategies, and how far they move when tasks and seeds are drawn again."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fal_bench.stats.means import FEWEST_FOR_INTERVAL

_SAME_LABELS = 1e-9
# Bootstrap samples handled at once: bounds the memory of large boards.
_CHUNK = 100


def rank(labels: ArrayLike, reached: ArrayLike, accuracy: ArrayLike) -> NDArray[np.int64]:
    """Rank strategies by labels; those that never reached come after those that did.

    Among those that never reached, ties in labels are broken by accuracy, the better one first and
    an unknown one (NaN) last. Equal strategies share the better rank.

    Args:
        labels: mean budget, shape (..., n_strategies).
        reached: whether any run reached, shape (..., n_strategies).
        accuracy: mean accuracy at the cap, shape (..., n_strategies).

    Returns:
        Ranks from 1, shape (..., n_strategies).
    """
    budget = np.asarray(labels, dtype=float)
    never = ~np.asarray(reached, dtype=bool)
    known = np.nan_to_num(np.asarray(accuracy, dtype=float), nan=-np.inf)
    merit = np.where(never, known, 0.0)
    mine, other = (..., slice(None), None), (..., None, slice(None))
    close = np.abs(budget[mine] - budget[other]) <= _SAME_LABELS * np.abs(budget[mine])
    better = (never[other] < never[mine]) | (
        (never[other] == never[mine])
        & ((~close & (budget[other] < budget[mine])) | (close & (merit[other] > merit[mine])))
    )
    places: NDArray[np.int64] = 1 + better.sum(axis=-1)
    return places


def rank_intervals(
    labels: ArrayLike,
    reached: ArrayLike,
    accuracy: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    draws: int = 2000,
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return bootstrap intervals of the ranks over tasks and seeds.

    All strategies keep their pairing: a draw takes the same tasks and seeds for everyone. Tasks
    are drawn first, then seeds within each drawn task (Agarwal et al., 2021, call this the task
    bootstrap); tasks alone would allow only three samples of two tasks. With one task, seeds
    alone are drawn.

    Args:
        labels: budgets, shape (n_strategies, n_tasks, n_seeds).
        reached: whether the run reached, same shape.
        accuracy: accuracy at the cap, same shape.
        rng: source of the bootstrap samples.
        level: share of the samples whose rank lies in the interval.
        draws: number of bootstrap samples.

    Returns:
        Best and worst rank of each interval, shape (n_strategies,); None with fewer than
        ``FEWEST_FOR_INTERVAL`` seeds. A bootstrap of two draws the same seed twice half of the
        time, and is too narrow by a third.

    Raises:
        ValueError: the shapes differ or are not three-dimensional.
    """
    arrays = [np.asarray(a, dtype=float) for a in (labels, reached, accuracy)]
    if arrays[0].ndim != 3 or len({array.shape for array in arrays}) > 1:
        raise ValueError("ranks are bootstrapped from arrays of (strategy, task, seed).")
    if arrays[0].shape[2] < FEWEST_FOR_INTERVAL:
        return None
    places = np.concatenate(
        [
            _resampled_ranks(arrays, rng, min(_CHUNK, draws - start))
            for start in range(0, draws, _CHUNK)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(places, [tail, 1 - tail], axis=0, method="inverted_cdf")
    return low.astype(np.int64), high.astype(np.int64)


def _resampled_ranks(
    arrays: list[NDArray[np.float64]], rng: np.random.Generator, draws: int
) -> NDArray[np.int64]:
    _, tasks, seeds = arrays[0].shape
    task = rng.integers(0, tasks, size=(draws, tasks, 1))
    seed = rng.integers(0, seeds, size=(draws, tasks, seeds))
    labels, reached, accuracy = (array[:, task, seed] for array in arrays)
    return rank(
        labels.mean(axis=(2, 3)).T, (reached > 0).any(axis=(2, 3)).T, accuracy.mean(axis=(2, 3)).T
    )
