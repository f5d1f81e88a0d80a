"""``falbench check``: does a plugin satisfy what every one of its kind must?"""

from __future__ import annotations

from typing import Annotated

import typer

from fal_bench.cli.output import begin, terminal
from fal_bench.errors import InvalidSpecError


def check(
    plugins: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME_OR_FILE...",
            help="Plugins by name, with parameters as in 'logo[n_init=4]', or plugin files.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Do this check only; repeatable.  [default: all]"),
    ] = None,
    list_checks: Annotated[
        bool, typer.Option("--list", help="List the checks and what each of them proves.")
    ] = False,
    call_timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Longest time one plugin call may take."),
    ] = 60.0,
) -> None:
    """Check that plugins keep the contract.

    Says what failed, on which input, and what to do. Strategies run in the real harness on small
    made-up data, trainers, aggregations and models in the real engines, data sets are loaded and
    metrics measured, all in a process of their own. Ends with 0 if everything that applies holds,
    else with 1.
    """
    if list_checks:
        _list_checks()
        return
    if not plugins:
        raise InvalidSpecError("Name a plugin or a plugin file, or use --list.")
    if not _show(tuple(plugins), tuple(only or ()), call_timeout):
        raise typer.Exit(1)


def _show(plugins: tuple[str, ...], only: tuple[str, ...], call_timeout: float) -> bool:
    """Print what happens; return whether all plugins pass."""
    begin("Loading plugins")
    from rich.text import Text

    from fal_bench.conformance.process import Announced, Event, Order, check_apart
    from fal_bench.conformance.report import CheckInfo, Outcome, show_end, show_outcome
    from fal_bench.plugins.tables import Unavailable

    console = terminal()
    passed: list[bool] = []

    def show(event: Event) -> None:
        if isinstance(event, Unavailable):
            passed.append(event.empty)
            console.print(Text(event.message, style="yellow" if event.empty else "bold red"))
            console.print()
        elif isinstance(event, Announced):
            console.print(Text(f"{event.label} [{event.source}]", style="bold"))
        elif isinstance(event, CheckInfo):
            status.update(f"{event.name}: {event.proves}")
        elif isinstance(event, Outcome):
            show_outcome(console, event)
        else:
            passed.append(event.passed)
            show_end(console, event)
            console.print()

    with console.status("starting") as status:
        check_apart(Order(plugins, only, call_timeout), show)
    return all(passed)


def _list_checks() -> None:
    from fal_bench.conformance.runner import SUBJECTS

    width = max(len(one.name) for subject in SUBJECTS for one in subject.checks)
    for subject in SUBJECTS:
        typer.echo(f"Checks of {subject.kind.words}:")
        for one in subject.checks:
            typer.echo(f"  {one.name:<{width}}  {one.info.proves}")
