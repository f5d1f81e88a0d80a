"""``falbench inspect``: whether a task is worth its minutes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fal_bench.cli.options import (
    Backend,
    BackendOption,
    CallTimeoutOption,
    DataDirOption,
    Device,
    DeviceOption,
    DryRunOption,
    JobsOption,
    MemoryLimitOption,
    OutOption,
    PluginOption,
    SuiteOption,
)
from fal_bench.cli.output import (
    begin,
    exit_if_stopped,
    say,
    show,
    show_federations,
    show_missing,
    show_tracebacks,
)


class InspectionFormat(StrEnum):
    """How an inspection is printed."""

    text = "text"
    json = "json"
    markdown = "markdown"


def inspect(
    context: typer.Context,
    task_or_suite: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK_OR_SUITE",
            help="A task, a suite, a suite's TOML file, or a folder of published results.  "
            "[default: all tasks of --suite]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC=VALUE",
            help="A target as for compare, whose metric tasks are judged by.  "
            "[default: the suite's first target, or accuracy]",
            show_default=False,
        ),
    ] = None,
    suite: SuiteOption = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="Number of seeds.  [default: 5, and all that are published]",
            show_default=False,
        ),
    ] = None,
    jobs: JobsOption = None,
    out: OutOption = Path("results"),
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
    form: Annotated[
        InspectionFormat, typer.Option("--format", help="How to print it on standard output.")
    ] = InspectionFormat.text,
    dry_run: DryRunOption = False,
    backend: BackendOption = Backend.processes,
    device: DeviceOption = Device.auto,
    call_timeout: CallTimeoutOption = 600.0,
    memory_limit: MemoryLimitOption = None,
) -> None:
    """Tell whether a task is worth its minutes, and what to change.

    Runs random, fal-margin and oracle-greedy, and the first two with twice the training, as far as
    such runs are not in the results folder yet; its folder "inspection" keeps them, and reports
    leave them out. Measures training accuracy, what more training changes, jumps, noise,
    head-room, and how many seeds a saving needs. Of published results nothing is run.
    """
    begin("Planning the inspection")
    from fal_bench import api

    asked: dict[str, Any] = {
        "target": target,
        "suite": suite,
        "seeds": seeds,
        "jobs": jobs,
        "out": out,
        "plugins": plugin or (),
        "backend": backend.value,
        "device": device.value,
        "notify": say,
    }
    with exit_if_stopped("the same command goes on where this one was"):
        if dry_run:
            runs = api.prepare_inspection(task_or_suite, **asked).runs
            show_federations(runs)
            show_missing(runs, inline=backend is Backend.sequential)
            return
        found = api.inspect(
            task_or_suite, call_timeout=call_timeout, memory_limit=memory_limit, **asked
        )
    if form is InspectionFormat.text:
        show(found)
    else:
        typer.echo(found.text("json" if form is InspectionFormat.json else "markdown"), nl=False)
    show_tracebacks(context, found.missing)
    if found.missing:
        raise typer.Exit(1)
