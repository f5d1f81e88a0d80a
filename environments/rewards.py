"""The reward of one step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fal_bench.environments.options import EpisodeOptions

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
    first, so it holds no price for labels; ``"delta_cost"`` adds one. ``"authors"`` divides each
    precision by its batch share and adds noise between 0 and 0.01, after prototype code by one of
    the authors; it prefers a small last batch.

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
    if options.reward == "lal":
        return -after.batch_share
    ratio = after.precision / after.batch_share - before.precision / before.batch_share
    return ratio + NOISE * (1 - rng.random())


def declines(rewards: list[float], patience: int) -> bool:
    """Return whether each of the last ``patience`` rewards is below the one before it."""
    last = rewards[-patience - 1 :]
    return len(last) == patience + 1 and bool(np.all(np.diff(last) < 0))
