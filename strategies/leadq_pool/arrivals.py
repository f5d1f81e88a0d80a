"""What one client does for LeaDQ: measure the reward, draw sub-pools, and choose in each."""

from __future__ import annotations

from typing import Any

import numpy as np

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.plugins.strategy import ClientView

NO_SAMPLE = -1
"""Fills up a sub-pool that has fewer samples than the others."""


class Arrivals:
    """One client's part; what must survive lives in its memory.

    Args:
        client: what the client may know.
        size: samples in a sub-pool.
    """

    def __init__(self, client: ClientView, size: int) -> None:
        self._client = client
        self._size = size
        self._memory: dict[str, Any] = client.memory.setdefault("leadq", {})

    def measure(self, reward_labels: int) -> FloatArray:
        """Return loss and correctness of the global model on the client's reward set.

        The set is drawn on the first call, from the samples that are unlabelled then, and stays
        the same. At least one sample is left for the query; a client without any has an empty set.

        Args:
            reward_labels: size of the set, if the client has as many to give.

        Returns:
            Shape (2, size): cross-entropies in nats, and 1 where the prediction is right.
        """
        if "reward" not in self._memory:
            pool = self._client.unlabelled
            size = min(reward_labels, max(len(pool) - 1, 0))
            drawn = self._client.rng.choice(pool, size, replace=False)
            self._memory["reward"] = np.sort(drawn)
        # Sub-pools of an earlier cycle must not be taken for those of this one.
        self._memory["subpools"] = np.full((0, self._size), NO_SAMPLE)
        ids: IntArray = self._memory["reward"]
        labels = self._client.buy(ids, "reward")
        probs = self._client.probs(self._client.global_model, ids)
        true = probs[np.arange(len(ids)), labels]
        losses = -np.log(np.maximum(true, np.finfo(np.float32).tiny))
        return np.array([losses, probs.argmax(axis=1) == labels], dtype=np.float32)

    def draw(self, budget: int) -> IntArray:
        """Draw one sub-pool for each label to buy, without a sample in two of them.

        Samples of the reward set are left out as long as there are others. Where the pool is
        too small for sub-pools of the full size, they share it evenly.
        """
        pool = self._client.unlabelled
        kept_out = np.isin(pool, self._memory["reward"])
        free = self._client.rng.permutation(np.flatnonzero(~kept_out))
        missing = max(budget - len(free), 0)
        order = np.concatenate([free, np.flatnonzero(kept_out)[:missing]])
        parts = np.array_split(order[: budget * self._size], budget)
        subpools = np.full((budget, self._size), NO_SAMPLE)
        for row, part in zip(subpools, parts, strict=True):
            row[: len(part)] = part
        self._memory["subpools"] = subpools
        return subpools

    def observe(self) -> FloatArray:
        """Return the softmax outputs of the sub-pools, shape (budget, size, n_classes).

        Rows without a sample are zero.
        """
        subpools = self._memory["subpools"]
        probs = self._client.probs(self._client.global_model)
        return np.where((subpools == NO_SAMPLE)[..., None], np.float32(0), probs[subpools])

    def choose(self, values: FloatArray | None, epsilon: float) -> IntArray:
        """Choose one sample of each sub-pool.

        Args:
            values: Q-value of each sample, shape (budget, size); None for least confidence.
            epsilon: probability of a random choice in place of the largest value.

        Returns:
            Positions in ``client.unlabelled``.
        """
        subpools = self._memory["subpools"]
        there = subpools != NO_SAMPLE
        if values is None:
            confidence = np.where(there, self.observe().max(axis=2), np.inf)
            actions = confidence.argmin(axis=1)
        else:
            actions = np.where(there, values, -np.inf).argmax(axis=1)
            tried = self._client.rng.random(len(actions)) < epsilon
            drawn = self._client.rng.integers(there.sum(axis=1))
            actions = np.where(tried, drawn, actions)
        self._memory["actions"] = actions
        chosen: IntArray = subpools[np.arange(len(subpools)), actions]
        return chosen

    def report(self) -> IntArray:
        """Return which sample of each sub-pool was chosen, and forget the sub-pools."""
        del self._memory["subpools"]
        actions: IntArray = self._memory.pop("actions", np.empty(0, dtype=np.int64))
        return actions


def default_reward_labels(clients: int, unlabelled: int) -> int:
    """Return a client's part of 1000 reward labels, at most a tenth of what it has, at least 1."""
    return max(min(1000 // clients, unlabelled // 10), 1)
