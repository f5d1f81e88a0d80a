"""One step of an episode: what is observed, which batch an action stands for, and its reward."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fal_bench.acquisition.scores import entropy, top_two_margin
from fal_bench.arrays import FloatArray, IntArray, RealArray
from fal_bench.environments.options import EpisodeOptions
from fal_bench.errors import InvalidSpecError


def margin_quantiles(probs: RealArray, count: int) -> FloatArray:
    """Return evenly spaced quantiles of the top-two margins, from the least to the largest.

    Args:
        probs: predicted probabilities, shape (n, n_classes). With no sample left there is no
            uncertainty left: all quantiles are 1.
        count: how many quantiles.

    Returns:
        Shape (count,), ascending, from 0 to 1.
    """
    if not len(probs):
        return np.ones(count, dtype=np.float32)
    margins = np.sort(top_two_margin(probs).astype(np.float64))
    positions = np.linspace(0, len(margins) - 1, count)
    quantiles = np.interp(positions, np.arange(len(margins)), margins)
    return np.clip(quantiles, 0, 1).astype(np.float32)


def size_grid(largest: int, count: int = 8) -> tuple[int, ...]:
    """Return at most ``count`` distinct batch sizes from 1 to ``largest``, spaced geometrically.

    Raises:
        InvalidSpecError: a number is below 1.
    """
    if largest < 1 or count < 1:
        raise InvalidSpecError(f"A size grid needs positive numbers, not {largest} and {count}.")
    return tuple(int(size) for size in np.unique(np.rint(np.geomspace(1, largest, count))))


def default_sizes(pool_size: int) -> tuple[int, ...]:
    """Return the size grid up to a twentieth of the pool, or 8 where that is more."""
    return size_grid(max(8, -(-pool_size // 20)))


@dataclass(frozen=True)
class BatchActions:
    """The discrete actions of an environment and the batches they stand for.

    Attributes:
        sizes: batch sizes to choose from.
        windows: starting ranks to choose from; 1 always takes the lowest ranks.
    """

    sizes: tuple[int, ...]
    windows: int = 1

    @classmethod
    def of(cls, options: EpisodeOptions, pool_size: int) -> BatchActions:
        """Build the actions that the options ask for.

        Raises:
            InvalidSpecError: the batch sizes do not ascend.
        """
        sizes = options.sizes or default_sizes(pool_size)
        if any(low >= high for low, high in itertools.pairwise(sizes)):
            raise InvalidSpecError(f"Batch sizes must be distinct and ascend, unlike {sizes}.")
        if options.action == "quantile":
            return cls((options.batch_size or sizes[len(sizes) // 2],), options.windows)
        return cls(sizes, options.windows if options.action == "size_x_quantile" else 1)

    def __len__(self) -> int:
        return len(self.sizes) * self.windows

    def size(self, action: int) -> int:
        """Return the batch size that an action asks for."""
        return self.sizes[action // self.windows]

    def window(self, action: int) -> float:
        """Return where the batch starts: 0 at the lowest ranks, 1 at the highest."""
        return action % self.windows / max(self.windows - 1, 1)


def rank_samples(probs: RealArray, rank: Literal["margin", "entropy"]) -> IntArray:
    """Return positions from the most to the least uncertain; ties go to the earlier position.

    Args:
        probs: predicted probabilities, shape (n, n_classes).
        rank: smallest top-two margin first, or largest entropy first.
    """
    scores = top_two_margin(probs) if rank == "margin" else -entropy(probs)
    return np.argsort(scores, kind="stable").astype(np.int64)


def take_window(order: IntArray, size: int, window: float) -> IntArray:
    """Return ``size`` consecutive positions of a ranking, starting at a share of its length.

    Args:
        order: ranked positions, shape (n,) with n >= size.
        size: how many to take.
        window: 0 takes the first, 1 the last ``size`` positions.
    """
    start = round(window * (len(order) - size))
    return order[start : start + size]


NOISE = 0.01


@dataclass(frozen=True)
class Progress:
    """Where an episode stands after a fit.

    Attributes:
        precision: weighted precision on the reward set.
        batch_share: samples bought in the last step (the seed labels at reset), as a share of the
            pool.
    """

    precision: float
    batch_share: float


def reward(
    options: EpisodeOptions, before: Progress, after: Progress, rng: np.random.Generator
) -> float:
    """Return the reward of the step from ``before`` to ``after``.

    The paper's equation 2 is ``"delta"``. Undiscounted, it adds up to the last precision minus the
    first, so it holds no price for labels; ``"delta_cost"`` adds one, and ``"cost"`` is nothing but
    the price: what one pays until the target is reached. ``"authors"`` divides each precision
    by its batch share and adds noise between 0 and 0.01, after prototype code by one of the
    authors; it prefers a small last batch.

    Args:
        options: which reward, and the weight of labels.
        before: progress before the step.
        after: progress after it.
        rng: the environment's stream; drawn from for ``"authors"`` only.
    """
    gain = after.precision - before.precision
    if options.reward == "delta":
        return gain
    if options.reward == "delta_cost":
        return gain - options.cost * after.batch_share
    if options.reward == "cost":
        return -after.batch_share
    ratio = after.precision / after.batch_share - before.precision / before.batch_share
    return ratio + NOISE * (1 - rng.random())


def return_range(options: EpisodeOptions, pool_size: int) -> tuple[float, float]:
    """Return the least and the largest sum of rewards from any state of an episode to its end.

    A discounted sum lies between them too: it is a mean of the sums up to each step.

    Args:
        options: which reward, and the weight of labels.
        pool_size: samples in the pool.
    """
    if options.reward == "delta":
        return -1.0, 1.0
    if options.reward == "delta_cost":
        return -1.0 - options.cost, 1.0
    if options.reward == "cost":
        return -1.0, 0.0
    # The sum is the last ratio minus the first, and a batch of one sample has the largest ratio.
    return -float(pool_size), (1 + NOISE) * pool_size


def declines(rewards: list[float], patience: int) -> bool:
    """Return whether each of the last ``patience`` rewards is below the one before it."""
    last = rewards[-patience - 1 :]
    return len(last) == patience + 1 and bool(np.all(np.diff(last) < 0))
