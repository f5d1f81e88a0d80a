"""``falbench compare``: run what is missing, rank, and write the leaderboard."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    OutOption,
    PluginOption,
    SeedsOption,
    StrategyOption,
    SuiteOption,
    TargetOption,
    TaskOption,
)
from fal_bench.cli.output import show_and_write, show_tracebacks, told_if_stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fal_bench.sweep.plan import Plan
    from fal_bench.sweep.spec import RunSpec
    from fal_bench.results.store import Corrupt, Store


SHOWN_LABELS = 4


class Device(StrEnum):
    """What computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Backend(StrEnum):
    """Where runs are computed."""

    loky = "loky"
    sequential = "sequential"
    ray = "ray"
    dask = "dask"


def compare(
    context: typer.Context,
    target_acc: TargetOption = None,
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
    ] = Backend.loky,
    device: Annotated[
        Device, typer.Option(help="What computes; 'auto' is the GPU if PyTorch can use one.")
    ] = Device.auto,
    call_timeout: CallTimeoutOption = 600.0,
    memory_limit: MemoryLimitOption = None,
) -> None:
    """Compare strategies by the labels they need to reach a target accuracy.

    Computes the runs that are not in the results folder yet, prints the leaderboard, and writes
    leaderboard.csv, curves.csv and leaderboard.html there.
    """
    from fal_bench import comparison
    from fal_bench.external.folder import ExternalFolder
    from fal_bench.report.targets import Question
    from fal_bench.sweep.cluster import check_backend, device_for
    from fal_bench.results.store import Store
    from fal_bench.sweep.supervisor import Supervisor

    plugins = tuple(plugin or ())
    check_backend(backend.value)
    with told_if_stopped("the same command goes on where this one was"):
        plan = comparison.Plan.make(
            strategy,
            suite=suite,
            task=task,
            seeds=seeds,
            plugins=plugins,
            device=device_for(backend.value, device.value),
        )
        for note in plan.notes:
            typer.echo(f"Note: {note}", err=True)
        question = Question.make(
            target_acc or plan.targets, accounting.value, baseline, plan.strategies
        )
        store = Store(out)
        imports = ExternalFolder(store.root).imports() if external else None
        missing, corrupt = plan.missing(store)
        plan.check(missing)
        workers = jobs or comparison.default_jobs(plan.device)
        if dry_run:
            _tell_missing(store, plan, missing, workers, backend)
            return
        store.prepare()
        for broken in corrupt:
            typer.echo(_warning(broken), err=True)
        if missing:
            supervisor = Supervisor(
                store, workers, backend.value, plan.plugins, call_timeout, memory_limit
            )
            comparison.run_missing(supervisor, plan, comparison.progress_monitor(shown=True))
    try:
        show_and_write(comparison.summarise(plan, store, question, imports), out, form)
    finally:  # it ends with an exit if runs are missing
        show_tracebacks(context, store, plan.runs)


def _warning(broken: Corrupt) -> str:
    return (
        f"Warning: run {broken.path.name[:12]} ({broken.spec}) is corrupted: {broken.reason}; "
        "it is set aside and runs again."
    )


def _tell_missing(
    store: Store, plan: Plan, missing: list[RunSpec], workers: int, backend: Backend
) -> None:
    """Print how many runs are missing, of which strategy and task, and how long they take."""
    from collections import Counter

    from fal_bench.sweep.estimate import estimate

    if not missing:
        typer.echo(f"All {len(plan.runs)} runs are there; nothing to run.")
        return
    for (task, label), count in Counter((run.task.name, run.label) for run in missing).items():
        typer.echo(f"{task}  {label}: {count} of {len(plan.seeds)} seeds missing")
    inline = backend is Backend.sequential
    found = estimate(store, plan.runs, missing, workers, inline=inline)
    where = "in this process" if inline else f"on {workers} worker{'s' if workers > 1 else ''}"
    typer.echo(
        f"{len(missing)} of {len(plan.runs)} runs are missing; they take "
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
