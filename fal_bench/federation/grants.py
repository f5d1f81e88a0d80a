"""How many labels each client may buy by when: it follows from the task and from what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.data.apportionment import turns
from fal_bench.task import ServerAllotment, Task


@dataclass(frozen=True, eq=False)
class Offer:
    """The labels that may be bought in one query.

    Attributes:
        usual: labels each client buys unless the server says otherwise; shape (clients,).
        limits: labels each client may buy at most; the same where the task leaves no choice.
    """

    usual: IntArray
    limits: IntArray

    @property
    def total(self) -> int:
        """Labels that all clients buy together."""
        return int(self.usual.sum())

    @property
    def is_fixed(self) -> bool:
        """Whether the server has no choice."""
        return bool((self.usual == self.limits).all())


@dataclass(frozen=True, eq=False)
class Grants:
    """All labels of a task, divided over its clients in one order of turns.

    Attributes:
        task: the task.
        weights: what each client's part of the labels is proportional to; shape (clients,).
        pools: samples of its query pool, initial labels included; shape (clients,).
        initial: how many initial labels each client holds; shape (clients,).
    """

    task: Task
    weights: DoubleArray
    pools: IntArray
    initial: IntArray

    def granted(self, cycle: int) -> IntArray:
        """Return the labels that each client may have bought by the end of a cycle's query.

        Args:
            cycle: the cycle's number, from 0.

        Returns:
            Initial labels left out; shape (clients,).
        """
        looks = self.task.looks
        total = looks[min(cycle + 1, len(looks) - 1)] - looks[0]
        return np.bincount(self._turns[:total], minlength=len(self.pools))

    def offer(self, cycle: int, bought: IntArray, left: Sequence[int]) -> Offer:
        """Return what may be bought in a query: what is granted by then and was not bought.

        Args:
            cycle: the cycle's number, from 0.
            bought: paper labels of each client so far, initial ones included; shape (clients,).
            left: samples that each client has left to label.
        """
        due = self.granted(cycle) - (bought - self.initial)
        allotment = self.task.allotment
        if not isinstance(allotment, ServerAllotment):
            return Offer(due, due)
        limits = np.minimum(left, max(left) if allotment.at_most is None else allotment.at_most)
        usual = turns(self.weights, np.zeros_like(limits), limits)[: due.sum()]
        return Offer(np.bincount(usual, minlength=len(limits)), limits)

    @cached_property
    def _turns(self) -> IntArray:
        """The client that each label is granted to, in turn, until all pools are used up."""
        return turns(self.weights, self.initial, self.pools)


def initial_labels(task: Task, weights: DoubleArray, pools: IntArray) -> IntArray:
    """Return how many initial labels each client holds, one at least; shape (clients,).

    Args:
        task: the task.
        weights: what each client's part is proportional to; shape (clients,).
        pools: samples of its query pool; shape (clients,).
    """
    one_each = np.ones(len(pools), dtype=np.int64)
    order = turns(weights, one_each, pools)
    more = order[: task.label_grid_start - len(pools)]
    return one_each + np.bincount(more, minlength=len(pools))


def weights_of(task: Task, samples: IntArray, prices: DoubleArray) -> DoubleArray:
    """Return what each client's part of the labels is proportional to; shape (clients,).

    Args:
        task: the task.
        samples: samples of each client in all parts; shape (clients,).
        prices: what a label costs at each client; shape (clients,).
    """
    match task.budget:
        case "equal":
            return np.ones(len(samples))
        case "equal-cost":
            return 1 / prices
        case "proportional":
            return samples.astype(np.float64)
