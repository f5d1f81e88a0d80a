"""``falbench compare``: run what is missing, rank, and write the leaderboard."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fal_bench.cli.options import (
    Accounting,
    AccountingOption,
    BaselineOption,
    CallTimeoutOption,
    DataDirOption,
    ExternalOption,
    Format,
    FormatOption,
    MemoryLimitOption,
    MetricTargetOption,
    OutOption,
    PluginOption,
    SeedsOption,
    StrategyOption,
    SuiteOption,
    TargetOption,
    TaskOption,
)
from fal_bench.cli.output import exit_if_stopped, say, show_and_write, show_tracebacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fal_bench.api import Prepared


SHOWN_LABELS = 4


class Device(StrEnum):
    """What computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Backend(StrEnum):
    """Where runs are computed."""

    processes = "processes"
    sequential = "sequential"
    ray = "ray"
    dask = "dask"


def compare(
    context: typer.Context,
    target_acc: TargetOption = None,
    target: MetricTargetOption = None,
    strategy: StrategyOption = None,
    suite: SuiteOption = None,
    task: TaskOption = None,
    seeds: SeedsOption = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            help="Workers.  \\[default: one a core, one on a GPU]",
        ),
    ] = None,
    accounting: AccountingOption = Accounting.strict,
    baseline: BaselineOption = None,
    out: OutOption = Path("results"),
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
    form: FormatOption = Format.table,
    external: ExternalOption = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is missing and how long it takes.")
    ] = False,
    backend: Annotated[
        Backend, typer.Option(help="Worker processes, this process (for debuggers), or a cluster.")
    ] = Backend.processes,
    device: Annotated[
        Device, typer.Option(help="What computes; 'auto' is the GPU if PyTorch can use one.")
    ] = Device.auto,
    call_timeout: CallTimeoutOption = 600.0,
    memory_limit: MemoryLimitOption = None,
) -> None:
    """Compare strategies by the labels they need to reach a target.

    Computes the runs that are not in the results folder yet, prints the leaderboard, and writes
    leaderboard.csv, curves.csv and leaderboard.html there.
    """
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
            _show_missing(api.prepare(**asked), inline=backend is Backend.sequential)
            return
        result = api.compare(**asked, call_timeout=call_timeout, memory_limit=memory_limit)
    try:
        show_and_write(result, out, form)
    finally:  # it ends with an exit if runs are missing
        show_tracebacks(context, result.missing)


def _show_missing(ready: Prepared, *, inline: bool) -> None:
    """Print how many runs are missing, of which strategy and task, and how long they take."""
    from collections import Counter

    from fal_bench.sweep.estimate import estimate

    missing, total, jobs = ready.missing, len(ready.plan.runs), ready.jobs
    if not missing:
        typer.echo(f"All {total} runs are there; nothing to run.")
        return
    for (task, label), count in Counter((run.task.name, run.label) for run in missing).items():
        typer.echo(f"{task}  {label}: {count} of {len(ready.plan.seeds)} seeds missing")
    plan = ready.plan
    found = estimate(ready.store, plan.runs, missing, jobs, plugins=plan.plugins, inline=inline)
    where = "in this process" if inline else f"on {jobs} worker{'s' if jobs > 1 else ''}"
    typer.echo(
        f"{len(missing)} of {total} runs are missing; they take "
        f"{'at least ' if found.unknown else ''}about {_duration(found.seconds)} {where}, and the "
        "tables some seconds more."
    )
    if found.unknown:
        typer.echo(
            "Not counted: the time for their own work of strategies that have no finished run on "
            f"one of these tasks ({_few(found.unknown)})."
        )


def _few(labels: Sequence[str]) -> str:
    shown, more = ", ".join(labels[:SHOWN_LABELS]), len(labels) - SHOWN_LABELS
    return f"{shown} and {more} more" if more > 0 else shown


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
