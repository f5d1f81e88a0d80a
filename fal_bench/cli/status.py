"""``falbench status``: how far a comparison is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import typer

from fal_bench.cli.options import (
    DataDirOption,
    OutOption,
    PluginOption,
    SeedsOption,
    StrategyOption,
    SuiteOption,
    TaskOption,
)
from fal_bench.cli.output import show_tracebacks


def status(
    context: typer.Context,
    strategy: StrategyOption = None,
    suite: SuiteOption = None,
    task: TaskOption = None,
    seeds: SeedsOption = None,
    out: OutOption = Path("results"),
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
) -> None:
    """Show which runs of a comparison are done, partial, failed, corrupted or new."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fal_bench.sweep.plan import Plan
    from fal_bench.results.store import Corrupt, Store

    plan = Plan.make(strategy, suite=suite, task=task, seeds=seeds, plugins=plugin or ())
    store = Store(out)
    table = Table("task", "strategy", "done", "partial", "failed", "corrupted", "new")
    console = Console()
    counts: dict[tuple[str, str], Counter[str]] = {}
    problems: list[str] = []
    for run in plan.runs:
        phase = store.phase(run)
        row = counts.setdefault((run.task.name, run.label), Counter())
        if isinstance(phase, Corrupt):
            row["corrupted"] += 1
            problems.append(f"{run}: corrupted: {phase.reason}")
            continue
        row[phase] += 1
        if phase == "failed":
            problems.append(f"{run}: {store.folder(run).status()['reason']}")
    for (task_name, label), row in counts.items():
        phases = ("done", "partial", "failed", "corrupted", "new")
        table.add_row(Text(task_name), Text(label), *(str(row[phase] or "") for phase in phases))
    console.print(table)
    for problem in problems:
        typer.echo(problem)
    show_tracebacks(context, store, plan.runs)
