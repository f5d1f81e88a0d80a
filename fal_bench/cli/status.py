"""``falbench status``: how far a comparison is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import typer

from fal_bench.cli.options import (
    DataDirOption,
    Device,
    DeviceOption,
    OutOption,
    PluginOption,
    SeedsOption,
    StrategyOption,
    SuiteOption,
    TaskOption,
)
from fal_bench.cli.output import begin, show, show_tracebacks


def status(
    context: typer.Context,
    strategy: StrategyOption = None,
    suite: SuiteOption = None,
    task: TaskOption = None,
    seeds: SeedsOption = None,
    out: OutOption = Path("results"),
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
    device: DeviceOption = Device.auto,
) -> None:
    """Show which runs are done, and which are not."""
    begin("Reading results")
    from rich.text import Text

    from fal_bench.reporting.table import ruled_table
    from fal_bench.reporting.wording import counted
    from fal_bench.results.identity import records
    from fal_bench.results.store import Store
    from fal_bench.results.stored import NoRunsError, read_store
    from fal_bench.sweep.plan import Plan

    plan = Plan.make(
        strategy, suite=suite, task=task, seeds=seeds, plugins=plugin or (), device=device.value
    )
    results = plan.results(Store(out), external=False)
    states = ("done", "partial", "failed", "corrupted", "new")
    table = ruled_table()
    for name in ("task", "strategy", *states):
        table.add_column(name, justify="right" if name in states else "left")
    counts: dict[tuple[str, str], Counter[str]] = {}
    problems = list(results.provenance.problems)
    for run in records(results.here):
        counts.setdefault((run["task"], run["strategy"]), Counter())[run["state"]] += 1
        if run["state"] in ("failed", "corrupted"):
            broken = "corrupted: " if run["state"] == "corrupted" else ""
            reason = f"{broken}{run['reason']}"
            problems.append(f"{run['task']}, {run['strategy']}, seed {run['seed']}: {reason}")
    for (task_name, label), row in counts.items():
        table.add_row(Text(task_name), Text(label), *(str(row[one] or "") for one in states))
    show(table)
    for problem in problems:
        typer.echo(problem)
    try:
        stored = read_store(Store(out)).here
    except NoRunsError as error:
        typer.echo(str(error))
        return
    others = Counter(stored.loc[~stored["key"].isin(results.runs["key"]), "strategy"])
    if others:
        names = ", ".join(f"{name} ({count})" for name, count in sorted(others.items()))
        typer.echo(f"Stored, too, but not asked for: {counted(others.total(), 'run')} of {names}.")
    show_tracebacks(context, results.missing)
