"""FedRAL's annotation problem as a Gymnasium environment.

One episode is one simulated run of active learning on a client's own data: observe how certain
the classifier is, choose a batch, have it labelled, refit, and be rewarded by the gain in weighted
precision.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.environments.episode_data import REWARD, EpisodeData, LabelReader
from fal_bench.environments.heads import Classifier, Fit, RidgeFit
from fal_bench.environments.options import EpisodeOptions
from fal_bench.environments.steps import (
    BatchActions,
    Progress,
    declines,
    margin_quantiles,
    rank_samples,
    return_range,
    reward,
    take_window,
)
from fal_bench.errors import InvalidSpecError
from fal_bench.metrics.classification import weighted_precision

Observation = FloatArray


class FedRALBatchEnv(gymnasium.Env[Observation, np.int64]):
    """Choose how much, and which part, of a pool to label next.

    - Observation: ``Box(0, 1, (quantiles,))``, quantiles of the classifier's top-two margins.
    - Action: ``Discrete``, a batch; it is cut to what pool and budget still hold.
    - Reward: the gain in weighted precision on the reward set, or another of ``options``.
    - Reset: draws and labels the seed set and fits a new classifier.
    - Terminated: target precision reached, budget spent, or pool empty; with ``reward="cost"``
      and a target also where an episode would be cut, and that costs the rest of the budget.
    - Truncated: ``max_steps`` taken, or (warm start) the reward declined repeatedly.
    - Info: ``batch_size`` (labels bought by this step), ``labels`` (in this episode, seed labels
      included) and ``precision``.

    Args:
        data: pool, state and reward samples; the digits of scikit-learn if None.
        labels: reads and charges labels; needed with ``data``.
        fit: fits the classifier; a ridge head on the features by default.
        options: how to observe, act, reward and end.
        **changes: single options that replace those of ``options``.

    Raises:
        InvalidSpecError: an option is wrong, or the pool is too small for the budget.
    """

    def __init__(
        self,
        data: EpisodeData | None = None,
        labels: LabelReader | None = None,
        *,
        fit: Fit | None = None,
        options: EpisodeOptions | None = None,
        **changes: Any,
    ) -> None:
        if (data is None) != (labels is None):
            raise InvalidSpecError("Give the environment both data and labels, or neither.")
        if data is None or labels is None:
            from fal_bench.environments.episode_data import digits_episode

            data, labels = digits_episode()
        self.options = (options or EpisodeOptions()).changed(**changes)
        self.data, self.labels = data, labels
        self.fit: Fit = fit or RidgeFit()
        self.seed_labels = self.options.seed_labels or data.n_classes
        self.budget = self._label_budget()
        self.actions = BatchActions.of(self.options, len(data.pool))
        length = self.options.quantiles + 5 * self.options.extras
        self.observation_space = spaces.Box(0.0, 1.0, (length,), np.float32)
        self.action_space = spaces.Discrete(len(self.actions))
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode from a new classifier and newly drawn seed labels.

        Args:
            seed: seeds the environment's stream, which then decides the episodes to come.
            options: not used.
        """
        super().reset(seed=seed, options=options)
        self._unlabelled = np.arange(len(self.data.pool))
        self._labelled = np.empty(0, dtype=np.int64)
        self._known = np.empty(0, dtype=np.int64)
        self._reward_labels = self.labels(self.data.reward.ids, REWARD)
        self._rewards: list[float] = []
        self._over = False
        drawn = self.np_random.choice(len(self._unlabelled), self.seed_labels, replace=False)
        self._progress = self._learn(drawn)
        return self._observe(), self._info(self.seed_labels)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Have a batch labelled and refit the classifier.

        Raises:
            gymnasium.error.ResetNeeded: no episode is running.
        """
        if self._over:
            raise gymnasium.error.ResetNeeded("The episode is over; call reset first.")
        batch = self._choose(int(action))
        before, self._progress = self._progress, self._learn(batch)
        gained = reward(self.options, before, self._progress, self.np_random)
        self._rewards.append(gained)
        terminated = self._ends()
        truncated = not terminated and self._is_cut()
        if truncated and self._pays_for_failure:
            gained -= (self.budget - len(self._labelled)) / len(self.data.pool)
            terminated, truncated = True, False
        self._over = terminated or truncated
        return self._observe(), gained, terminated, truncated, self._info(len(batch))

    @property
    def _pays_for_failure(self) -> bool:
        """Whether an episode that is cut before its target costs the whole budget.

        Few labels would be the best policy otherwise: to be cut early is cheap.
        """
        return self.options.reward == "cost" and self.options.target_precision is not None

    @property
    def return_range(self) -> tuple[float, float]:
        """The least and the largest return from any state; an agent may bound its values by it."""
        return return_range(self.options, len(self.data.pool))

    def _label_budget(self) -> int:
        pool_size = len(self.data.pool)
        budget = self.options.budget or max(pool_size // 5, self.seed_labels + 1)
        if not self.seed_labels < budget <= pool_size:
            raise InvalidSpecError(
                f"An episode with {self.seed_labels} seed labels and a budget of {budget} does "
                f"not fit a pool of {pool_size}; use a larger pool, fewer seed labels or another "
                "budget."
            )
        return budget

    def _choose(self, action: int) -> IntArray:
        """Return the positions in the unlabelled pool that an action stands for."""
        left = self.budget - len(self._labelled)
        size = min(self.actions.size(action), len(self._unlabelled), left)
        if self.options.rank == "random":
            return self.np_random.choice(len(self._unlabelled), size, replace=False)
        probs = self._classifier(self.data.pool.features[self._unlabelled])
        order = rank_samples(probs, self.options.rank)
        return take_window(order, size, self.actions.window(action))

    def _learn(self, batch: IntArray) -> Progress:
        """Buy the labels of a batch, refit from scratch on all labels, and measure precision."""
        chosen = self._unlabelled[batch]
        bought = self.labels(self.data.pool.ids[chosen], self.options.purpose)
        self._unlabelled = np.delete(self._unlabelled, batch)
        self._labelled = np.concatenate([self._labelled, chosen])
        self._known = np.concatenate([self._known, bought])
        self._classifier: Classifier = self.fit(
            self.data.pool.features[self._labelled], self._known, self.data.n_classes
        )
        predicted = self._classifier(self.data.reward.features).argmax(axis=1)
        precision = weighted_precision(predicted, self._reward_labels, self.data.n_classes)
        return Progress(precision, len(batch) / len(self.data.pool))

    def _ends(self) -> bool:
        target = self.options.target_precision
        reached = target is not None and self._progress.precision >= target
        return reached or len(self._labelled) >= self.budget or not len(self._unlabelled)

    def _is_cut(self) -> bool:
        patience = self.options.decline_patience
        declined = patience is not None and declines(self._rewards, patience)
        return declined or len(self._rewards) >= self.options.max_steps

    def _observe(self) -> Observation:
        if self.options.state_source == "state":
            features = self.data.state.features
        else:
            features = self.data.pool.features[self._unlabelled]
        probs = self._classifier(features) if len(features) else np.empty((0, 2))
        quantiles = margin_quantiles(probs, self.options.quantiles)
        return np.concatenate([quantiles, self._extras()]) if self.options.extras else quantiles

    def _extras(self) -> Observation:
        target = self.options.target_precision or 1.0
        values = [
            1 - len(self._labelled) / self.budget,
            len(self._labelled) / len(self.data.pool),
            self._progress.precision,
            max(target - self._progress.precision, 0.0),
            len(self._rewards) / self.options.max_steps,
        ]
        return np.array(values, dtype=np.float32)

    def _info(self, batch_size: int) -> dict[str, Any]:
        return {
            "batch_size": batch_size,
            "labels": len(self._labelled),
            "precision": self._progress.precision,
        }
