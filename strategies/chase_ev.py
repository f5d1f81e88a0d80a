"""CHASe's query: samples on which the client's predictions keep changing while it trains."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.acquisition.scores import largest
from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.needs import EpochPredictions, Need
from fal_bench.plugins.strategy import ClientView, Params, Strategy
from fal_bench.task import Task

FEW = 3
"""Dormant samples are woken when no more active ones are left than this many queries hold."""


class CHASeParams(Params):
    """Parameters of ``chase-ev``.

    Attributes:
        subset: active samples a query looks at, drawn at random after the first query; at least
            as many as labels to buy.
        woken: share of the dormant samples that is woken at a time.
    """

    subset: Annotated[int, Field(ge=1)] = 500
    woken: Annotated[float, Field(gt=0, le=1)] = 0.4


class CHASeEV(Strategy):
    """Most flips of the predicted class over the local epochs; samples without any lie dormant.

    Zhang et al., "CHASe: Client Heterogeneity-Aware Data Selection for Effective Federated Active
    Learning", IEEE TKDE 2025. The epistemic variation of a sample is how often its predicted class
    changes from one local epoch to the next in the client's last round; the largest are queried.
    Samples that never changed and were not queried are frozen: they are not looked at again until
    few active samples are left (at most three queries' worth), when a random 40 % of them wake.
    A query looks at a random subset of the active samples.

    Ties, of which there are many, go by chance (in the released code by an unstable sort). If
    fewer samples are active than labels are to be bought, more are woken at once. The paper's
    other part, the alignment loss, is a way to train and not part of a selection; its clients
    query in every round without a new start, where here a query follows a whole training.

    Cost: one pass over the pool for every local epoch. Fails with few local epochs, which allow
    few flips (one less than epochs), and at the end of training, when hardly anything flips.
    """

    name: ClassVar[str] = "chase-ev"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "training dynamics"
    paper: ClassVar[str] = "CHASe, Zhang et al., TKDE 2025"
    needs: ClassVar[frozenset[Need]] = frozenset({EpochPredictions()})
    Params: ClassVar[type[Params]] = CHASeParams

    def check_task(self, task: Task) -> None:
        """Check that predictions can change between two epochs."""
        if task.local_epochs < 2:
            raise InvalidSpecError(
                f"Strategy 'chase-ev' compares local epochs, but task {task.name!r} has only "
                "one; set local_epochs to 2 or more."
            )

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Query the most variable active samples, then freeze and wake."""
        pool = client.unlabelled
        dormant = np.intersect1d(client.memory.get("dormant", pool[:0]), pool)
        while len(pool) - len(dormant) < budget:
            dormant = self._wake(dormant, client.rng, at_least=1)
        active = np.setdiff1d(pool, dormant)
        looked_at = active
        size = max(self.params.subset, budget)
        if client.cycle > 0 and size < len(active):
            looked_at = client.rng.choice(active, size, replace=False)
        else:
            looked_at = client.rng.permutation(active)  # chance decides ties
        positions = np.searchsorted(pool, looked_at)
        variation = epistemic_variation(client.epoch_predictions[:, positions])
        chosen = largest(variation.astype(np.float64), budget)
        constant = np.delete(looked_at, chosen)[np.delete(variation, chosen) == 0]
        dormant = np.union1d(dormant, constant)
        if len(pool) - budget - len(dormant) <= FEW * budget:
            dormant = self._wake(dormant, client.rng)
        client.memory["dormant"] = dormant
        return positions[chosen].astype(np.int64)

    def _wake(self, dormant: IntArray, rng: np.random.Generator, at_least: int = 0) -> IntArray:
        """Return those that go on sleeping, sorted."""
        count = max(int(self.params.woken * len(dormant)), at_least)
        return np.setdiff1d(dormant, rng.choice(dormant, count, replace=False))


def epistemic_variation(predictions: IntArray) -> IntArray:
    """Return how often each sample's predicted class changes from one epoch to the next.

    Args:
        predictions: shape (epochs, n).

    Returns:
        Shape (n,), between 0 and epochs - 1.
    """
    changes: IntArray = (predictions[1:] != predictions[:-1]).sum(axis=0)
    return changes
