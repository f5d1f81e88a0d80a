"""``falbench list``: the names there are."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from fal_bench.cli.options import DataDirOption, PluginOption


class Kind(StrEnum):
    """What can be listed."""

    strategies = "strategies"
    trainers = "trainers"
    tasks = "tasks"
    suites = "suites"
    datasets = "datasets"


def list_things(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Import plugins, describe them, and say what is unavailable."
        ),
    ] = False,
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
) -> None:
    """List strategies, trainers, tasks, suites or data sets."""
    tellers: dict[Kind, Callable[[], list[tuple[str, str]]]] = {
        Kind.strategies: lambda: _plugins(kind, verbose, plugin),
        Kind.trainers: lambda: _plugins(kind, verbose, plugin),
        Kind.tasks: _tasks,
        Kind.suites: lambda: _suites(verbose),
        Kind.datasets: lambda: _datasets(verbose),
    }
    rows = tellers[kind]()
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        typer.echo(f"{name:<{width}}  {text}".rstrip())


def _plugins(kind: Kind, verbose: bool, plugin: PluginOption) -> list[tuple[str, str]]:
    from fal_bench.plugins.files import plugin_paths
    from fal_bench.plugins.registry import Registry

    registry = Registry.discover(plugin_paths(plugin or ()), try_first=True)
    table = registry.trainers if kind is Kind.trainers else registry.strategies
    rows = [(name, table.describe(name) if verbose else "") for name in table.names()]
    return rows + [
        (broken.name, f"unavailable ({broken.source}): {broken.reason}")
        for broken in registry.unavailable
    ]


def _tasks() -> list[tuple[str, str]]:
    from fal_bench.task.suite import load_suite, suite_names

    return [
        (task.name, f"{task.summary} (suite {suite})")
        for suite in suite_names()
        for task in load_suite(suite).tasks
    ]


def _suites(verbose: bool) -> list[tuple[str, str]]:
    from fal_bench.task.suite import load_suite, suite_names

    suites = map(load_suite, suite_names())
    return [(one.name, one.describe() if verbose else one.description) for one in suites]


def _datasets(verbose: bool) -> list[tuple[str, str]]:
    from fal_bench.data.loading import dataset_names, describe_dataset

    return [(name, describe_dataset(name) if verbose else "") for name in dataset_names()]
