"""What published runs answer, and what the same runs answer when they are computed again.

A curve that is close everywhere may still cross a target at another place. How many labels that is
worth cannot be seen from differences in a metric, so it is said in labels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board
from fal_bench.reporting.budgets import RunBudget, RunKey, budgets_at, read_runs


@dataclass(frozen=True)
class BudgetChange:
    """Mean budget to target of some runs of a strategy, as published and as recomputed.

    Attributes:
        strategy: the strategy's name in the tables.
        target: the target in words.
        runs: the number of runs.
        published: mean labels of the published curves, with ">" where a run did not get there.
        recomputed: the same of the curves that were computed again.
    """

    strategy: str
    target: str
    runs: int
    published: str
    recomputed: str

    def __str__(self) -> str:
        """Write it as one sentence."""
        count = wording.counted(self.runs, "run")
        return (
            f"{self.strategy} to {self.target}: {self.published} labels published, "
            f"{self.recomputed} recomputed (mean of {count})"
        )


def budget_changes(
    boards: Sequence[Board], computed: pd.DataFrame, runs: Collection[RunKey]
) -> tuple[BudgetChange, ...]:
    """Compare budgets to target of runs that are not the same bit for bit.

    Args:
        boards: the boards of the published curves.
        computed: rows of the curves that were computed again, under their published names.
        runs: task, strategy and seed of the runs to compare.

    Returns:
        One a board and strategy.
    """
    changes = []
    for board in boards:
        here = budgets_at(read_runs(computed, board.context), board.context)
        for strategy in sorted({label for _, label, _ in runs}):
            mine = [
                key for key in runs if key[1] == strategy and key in here and key in board.budgets
            ]
            if mine:
                target = wording.target(board.context)
                both = (
                    _mean([budgets[key] for key in mine], board)
                    for budgets in (board.budgets, here)
                )
                changes.append(BudgetChange(strategy, target, len(mine), *both))
    return tuple(changes)


def _mean(budgets: Sequence[RunBudget], board: Board) -> str:
    mine = [one.interpolated[board.context.accounting] for one in budgets]
    mean = sum(one.labels for one in mine) / len(mine)
    return wording.budget(mean, sum(one.reached for one in mine), len(mine))
