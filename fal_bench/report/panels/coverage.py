"""Which runs are finished."""

from __future__ import annotations

from collections.abc import Collection

from fal_bench.report.budgets import RunKey
from fal_bench.report.context import ReportContext
from fal_bench.report.panels.base import Cell, Table


def coverage_table(finished: Collection[RunKey], context: ReportContext) -> Table:
    """Return how many runs of every strategy are finished on every task."""
    seeds = len(set(context.seeds))
    tasks = sorted({facts.name for facts in context.tasks})
    rows = []
    for strategy in sorted(set(context.strategies)):
        counts = [
            sum((name, label) == (task, strategy) for name, label, _ in finished) for task in tasks
        ]
        runs = [Cell(f"{count}/{seeds}", count) for count in counts]
        rows.append([Cell(strategy), *runs])
    return Table("Finished runs by strategy and task", ("Strategy", *tasks), rows)
