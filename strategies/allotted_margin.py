"""Margin sampling in which the server divides the labels over the clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.arrays import IntArray
from fal_bench.data.apportionment import turns
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.strategy import ClientView, FederationView, Selection, Strategy
from fal_bench.task import ServerAllotment, Task

_LEAST = 1e-6
"""The least uncertainty that a client is taken to have, so that its turn comes in the end."""


class AllottedMargin(Strategy):
    """Smallest margins at each client, whose number grows with the uncertainty of its pool.

    Each client sends the mean uncertainty (1 minus the top-two margin) of its pool under the global
    model. The server divides the labels of the query in proportion to it, within the limits of the
    clients, and each client picks its smallest margins. It needs a task that lets the server allot
    labels; where each client buys the same number it would be ``fal-margin``, its control.

    Cost: one pass of the global model over the pool; a number a client and query each way. Fails
    where models are poor on noisy clients: what cannot be learned keeps its share of the budget.
    """

    name: ClassVar[str] = "allotted-margin"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "uncertainty"
    paper: ClassVar[str] = "control for allotment by the server"

    def check_task(self, task: Task) -> None:
        """Check that the task lets the server allot labels."""
        if not isinstance(task.allotment, ServerAllotment):
            raise InvalidSpecError(
                f"Task {task.name!r}: {self.name} divides labels over clients, which the task does "
                'itself; add allotment = { kind = "server" }, or use fal-margin.'
            )

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Divide the labels by uncertainty, then select client by client."""
        uncertainty = np.concatenate(federation.gather(_mean_uncertainty))
        limits = np.array(federation.limits)
        order = turns(np.maximum(uncertainty, _LEAST), np.zeros_like(limits), limits)
        allotted = np.bincount(order[: federation.total_budget], minlength=len(limits))
        return federation.each(_least_margins, allotted.tolist())


def _mean_uncertainty(client: ClientView) -> NDArray[np.float64]:
    """Return the mean of 1 minus the margin over the pool; shape (1,)."""
    if not len(client.unlabelled):
        return np.zeros(1)
    margins = top_two_margin(client.probs(client.global_model))
    return np.array([1 - margins.mean(dtype=np.float64)])


def _least_margins(client: ClientView, budget: int) -> IntArray:
    return smallest(top_two_margin(client.probs(client.global_model)), budget)
