"""Which runs are finished, and why others are not."""

from __future__ import annotations

from fal_bench.reporting import wording
from fal_bench.reporting.panels.base import Cell, Drawing, Heading, PageData, Panel, Table


class Coverage(Panel):
    """How many runs of every strategy are finished on every task, and the missing ones."""

    key = "coverage"
    title = "Coverage"
    order = 90
    strategies = 0

    def draw(self, data: PageData) -> Drawing:
        """Draw tables alone, and only where runs are missing."""
        context = data.context
        if not context.missing:
            counts = (
                wording.counted(len(set(context.strategies)), "strategy", "strategies"),
                wording.counted(len(context.tasks), "task"),
                wording.counted(len(context.seeds), "seed"),
            )
            return Drawing(f"Every run is finished: {' x '.join(counts)}.")
        return Drawing(
            "Only strategies with every run finished are ranked.",
            tables=(_finished(data), _missing(data)),
        )


def _finished(data: PageData) -> Table:
    tasks, seeds = data.context.task_names, len(data.context.seeds)
    rows = []
    for strategy in sorted(set(data.context.strategies)):
        counts = [sum(key[:2] == (task, strategy) for key in data.board.runs) for task in tasks]
        rows.append([Cell(strategy), *(Cell(f"{count}/{seeds}", count) for count in counts)])
    return Table("Finished runs by strategy and task", ("Strategy", *tasks), rows)


def _missing(data: PageData) -> Table:
    missing = sorted(data.context.missing, key=lambda run: (run.task, run.strategy, run.seed))
    return Table(
        "Runs without a finished learning curve",
        ("Strategy", Heading("Task", ""), "Seed", Heading("Reason", "reason")),
        [
            [Cell(run.strategy), Cell(run.task), Cell(str(run.seed), run.seed), Cell(run.reason)]
            for run in missing
        ],
    )
