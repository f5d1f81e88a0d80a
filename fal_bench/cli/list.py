"""``falbench list``: the names there are."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fal_bench.cli.options import DataDirOption, PluginOption


class Listed(StrEnum):
    """What can be listed."""

    strategies = "strategies"
    trainers = "trainers"
    aggregations = "aggregations"
    datasets = "datasets"
    models = "models"
    metrics = "metrics"
    tasks = "tasks"
    suites = "suites"


def list_things(
    kind: Annotated[Listed, typer.Argument(help="What to list.")],
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Import plugins, describe them, and say what is unavailable."
        ),
    ] = False,
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
) -> None:
    """List strategies, other plugins, tasks or suites."""
    if kind is Listed.tasks:
        rows = _tasks()
    elif kind is Listed.suites:
        rows = _suites(verbose)
    else:
        rows = _plugins(kind, verbose, plugin)
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        typer.echo(f"{name:<{width}}  {text}".rstrip())


def _plugins(kind: Listed, verbose: bool, plugin: PluginOption) -> list[tuple[str, str]]:
    from fal_bench.plugins.files import plugin_sources
    from fal_bench.plugins.registry import Registry, use_registry

    registry = Registry.discover(plugin_sources(plugin or ()), try_first=True)
    table = getattr(registry, kind)
    with use_registry(registry):
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
        for task in load_suite(suite).own_tasks
    ]


def _suites(verbose: bool) -> list[tuple[str, str]]:
    from fal_bench.task.suite import load_suite, suite_names

    suites = map(load_suite, suite_names())
    return [(one.name, one.describe() if verbose else one.description) for one in suites]
