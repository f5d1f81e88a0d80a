"""``falbench compare``: run what is missing, rank, and write the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from fal_bench.cli.options import (
    Accounting,
    AccountingOption,
    AccuracyTargetOption,
    Backend,
    BackendOption,
    BaselineOption,
    CallTimeoutOption,
    DataDirOption,
    Device,
    DeviceOption,
    DryRunOption,
    ExplainOption,
    ExternalOption,
    Format,
    FormatOption,
    JobsOption,
    MemoryLimitOption,
    OutOption,
    PluginOption,
    SeedsOption,
    StrategyOption,
    SuiteOption,
    TargetOption,
    TaskOption,
)
from fal_bench.cli.output import (
    begin,
    exit_if_stopped,
    say,
    show_and_write,
    show_federations,
    show_missing,
    show_tracebacks,
)


def compare(
    context: typer.Context,
    target: TargetOption = None,
    target_acc: AccuracyTargetOption = None,
    strategy: StrategyOption = None,
    suite: SuiteOption = None,
    task: TaskOption = None,
    seeds: SeedsOption = None,
    jobs: JobsOption = None,
    accounting: AccountingOption = Accounting.strict,
    baseline: BaselineOption = None,
    out: OutOption = Path("results"),
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
    form: FormatOption = Format.table,
    external: ExternalOption = True,
    explain: ExplainOption = False,
    dry_run: DryRunOption = False,
    backend: BackendOption = Backend.processes,
    device: DeviceOption = Device.auto,
    call_timeout: CallTimeoutOption = 600.0,
    memory_limit: MemoryLimitOption = None,
) -> None:
    """Compare strategies by the labels they need to reach a target.

    Computes the runs that are not in the results folder yet, prints the leaderboard, and writes
    leaderboard.csv, curves.csv and leaderboard.html there.
    """
    begin("Planning the comparison")
    from fal_bench import api

    asked: dict[str, Any] = {
        "strategies": strategy,
        "target_acc": target_acc or None,
        "target": target or None,
        "suite": suite,
        "task": task,
        "seeds": seeds,
        "jobs": jobs,
        "accounting": accounting.value,
        "baseline": baseline,
        "out": out,
        "plugins": plugin or (),
        "backend": backend.value,
        "device": device.value,
        "external": external,
        "notify": say,
    }
    with exit_if_stopped("the same command goes on where this one was"):
        if dry_run:
            runs = api.prepare(**asked).runs
            show_federations(runs)
            show_missing(runs, inline=backend is Backend.sequential)
            return
        result = api.compare(**asked, call_timeout=call_timeout, memory_limit=memory_limit)
    try:
        show_and_write(result, out, form, explain=explain)
    finally:  # it ends with an exit if runs are missing
        show_tracebacks(context, result.missing)
