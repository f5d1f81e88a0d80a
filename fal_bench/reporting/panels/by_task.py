"""What every strategy saves on every task."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fal_bench.reporting import wording
from fal_bench.reporting.leaderboard import Ladder, beyond_chance
from fal_bench.reporting.panels.base import Cell, Drawing, PageData, Panel, Table
from fal_bench.stats import FEWEST_SEEDS, CensoredPairs, saving

_STRONGEST = 0.4
"""The saving from which on all are coloured alike."""


class ByTask(Panel):
    """One table of savings, a row a strategy and a column a task."""

    key = "by-task"
    title = "Savings by task"
    order = 10
    strategies = 2
    own = True
    scope = "step"

    def draw(self, data: PageData) -> Drawing:
        """Draw the table; of one task it would repeat the board."""
        context = data.context
        if len(context.tasks) == 1:
            return Drawing("This board is of one task, so the savings above are those of the task.")
        ladder = data.board.ladder
        if context.baseline not in ladder.spent:
            return Drawing(f"Savings need all runs of the baseline {context.baseline}.")
        rows = [
            [Cell(name, place=data.styles[name].place), *_cells(name, ladder, context.baseline)]
            for name in data.own
        ]
        known = len(context.seeds) >= FEWEST_SEEDS
        text = (
            f"Share of {context.spent} saved against {context.baseline} on each task, best "
            "strategy first."
        )
        if known:
            text += " Bold: beyond chance on that task alone (95 %, no correction for many cells)."
        caption = f"Savings against {context.baseline} by task"
        table = Table(caption, ("Strategy", *context.task_names), rows, kind="heat")
        return Drawing(text, tables=(table,))


def _cells(name: str, ladder: Ladder, baseline: str) -> list[Cell]:
    """Return a strategy's savings, task by task."""
    if name == baseline:
        return [Cell("0 %", 0.0) for _ in ladder.spent[name].logs]
    return [
        _cell(task, ladder.censored(name, baseline, place))
        for place, task in enumerate(ladder.differences(name, baseline))
    ]


def _cell(differences: NDArray[np.float64], censored: CensoredPairs) -> Cell:
    if censored.saving_understated and censored.harm_understated:
        return Cell("n/c")
    value = saving(float(differences.mean()))
    sure = differences.size >= FEWEST_SEEDS and beyond_chance(differences, censored) != 0
    tone = max(-1.0, min(1.0, value / _STRONGEST)) if math.isfinite(value) else 0.0
    return Cell(wording.signed(value), value, round(tone, 2), sure)
