"""What every strategy saves on every task."""

from __future__ import annotations

import math

import numpy as np

from fal_bench.reporting import wording
from fal_bench.reporting.leaderboard import LEVEL, Ladder
from fal_bench.reporting.panels.base import Cell, Drawing, PageData, Panel, Table
from fal_bench.stats import FEWEST_SEEDS, censored_pairs, mean_of_task_means, saving

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
            f"Share of labels saved against {context.baseline} on each task, best strategy first."
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
    pairs = zip(
        ladder.differences(name, baseline), range(len(ladder.spent[name].logs)), strict=True
    )
    return [_cell(task, _comparable(name, baseline, place, ladder)) for task, place in pairs]


def _comparable(name: str, baseline: str, task: int, ladder: Ladder) -> bool:
    """Tell whether the pairs of a task say on which side the saving lies."""
    mine, theirs = (ladder.spent[one].reached[:, task : task + 1] for one in (name, baseline))
    censored = censored_pairs(mine, theirs)
    return not (censored.saving_understated and censored.harm_understated)


def _cell(differences: np.ndarray, comparable: bool) -> Cell:
    if not comparable:
        return Cell("n/c")
    value = saving(float(differences.mean()))
    sure = False
    if differences.size >= FEWEST_SEEDS:
        interval = mean_of_task_means([differences], level=LEVEL)
        sure = interval.high < 0 or interval.low > 0
    tone = max(-1.0, min(1.0, value / _STRONGEST)) if math.isfinite(value) else 0.0
    return Cell(wording.signed(value), value, round(tone, 2), sure)
