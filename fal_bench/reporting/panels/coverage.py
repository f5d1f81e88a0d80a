"""Which runs are finished, and why others are not."""

from __future__ import annotations

from fal_bench.reporting.panels.base import Cell, Drawing, Heading, PageData, Panel, Table


class Coverage(Panel):
    """How many runs of every strategy are finished on every task, and the missing ones."""

    key = "coverage"
    title = "Coverage"
    order = 70
    strategies = 0

    def draw(self, data: PageData) -> Drawing:
        """Draw tables alone."""
        return Drawing(
            "Only strategies with every run finished are ranked.",
            tables=(_finished(data),),
            parts=(_missing(data),),
        )


def _finished(data: PageData) -> Table:
    tasks, seeds = data.context.task_names, len(data.context.seeds)
    rows = []
    for strategy in sorted(set(data.context.strategies)):
        counts = [sum(key[:2] == (task, strategy) for key in data.board.runs) for task in tasks]
        rows.append([Cell(strategy), *(Cell(f"{count}/{seeds}", count) for count in counts)])
    return Table("Finished runs by strategy and task", ("Strategy", *tasks), rows)


def _missing(data: PageData) -> Drawing:
    missing = sorted(data.context.missing, key=lambda run: (run.task, run.strategy, run.seed))
    if not missing:
        return Drawing("None: every run is finished.", heading="Missing runs")
    table = Table(
        "Runs without a finished learning curve",
        ("Strategy", Heading("Task", ""), "Seed", Heading("Reason", "reason")),
        [
            [Cell(run.strategy), Cell(run.task), Cell(str(run.seed), run.seed), Cell(run.reason)]
            for run in missing
        ],
    )
    return Drawing(tables=(table,), heading="Missing runs")
