"""The share of runs that have reached the target, by the labels spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fal_bench.stats.crossing import Budget


@dataclass(frozen=True)
class BudgetEcdf:
    """The empirical distribution of budgets, each as a share of its budget cap.

    Attributes:
        shares: budgets as shares of the cap, of the runs that reached, increasing, shape (m,).
        reached: share of all runs that reached with at most as much, shape (m,); its last value
            is the success rate and stays below 1 if some run did not reach.
        runs: number of all runs.
    """

    shares: NDArray[np.float64]
    reached: NDArray[np.float64]
    runs: int

    def at(self, shares: ArrayLike) -> NDArray[np.float64]:
        """Return the share of runs that reached with at most these shares of the cap."""
        values = np.concatenate([[0.0], self.reached])
        return values[np.searchsorted(self.shares, np.asarray(shares, dtype=float), side="right")]


def budget_ecdf(budgets: Sequence[tuple[Budget, float]]) -> BudgetEcdf:
    """Pool budgets of tasks, seeds and targets into one distribution.

    This is the data profile of Moré and Wild (2009), and COCO's runtime distribution: it does not
    depend on which other strategies are shown. The area above it up to the cap is the restricted
    mean budget as a share of the cap, so that figure and table agree.

    Args:
        budgets: each budget with the budget cap of its task.

    Raises:
        ValueError: there is no budget, or a cap is not positive.
    """
    if not budgets or any(cap <= 0 for _, cap in budgets):
        raise ValueError("a distribution of budgets needs a run, and caps above zero.")
    shares, counts = np.unique(
        [budget.labels / cap for budget, cap in budgets if budget.reached], return_counts=True
    )
    return BudgetEcdf(shares, np.cumsum(counts) / len(budgets), len(budgets))
