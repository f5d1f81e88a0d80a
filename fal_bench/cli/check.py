"""``falbench check``: does a plugin satisfy what every one of its kind must?"""

from __future__ import annotations

from typing import Annotated

import typer

from fal_bench.errors import InvalidSpecError


def check(
    plugins: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME_OR_FILE...",
            help="Plugins by name, with parameters as in 'logo\\[n_init=4]', or plugin files.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Do this check only; repeatable.  \\[default: all]"),
    ] = None,
    list_checks: Annotated[
        bool, typer.Option("--list", help="List the checks and what each of them proves.")
    ] = False,
    call_timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Longest time one plugin call may take."),
    ] = 60.0,
) -> None:
    """Check that plugins keep the contract: what failed, on which input, and what to do.

    Strategies run in the real harness on small made-up data, trainers and models in the real
    engines, data sets are loaded and metrics measured, all in a process of their own. Ends with 0
    if everything that applies holds, else with 1.
    """
    if list_checks:
        _list_checks()
        return
    if not plugins:
        raise InvalidSpecError("Name a plugin or a plugin file, or use --list.")
    from fal_bench.conformance.process import Order

    if not _show(Order(tuple(plugins), tuple(only or ()), call_timeout)):
        raise typer.Exit(1)


def _show(order: object) -> bool:
    """Print what happens; return whether all plugins pass."""
    from rich.console import Console
    from rich.text import Text

    from fal_bench.conformance.process import Announced, Order, Unusable, check_apart
    from fal_bench.conformance.report import CheckInfo, Outcome, show_end, show_outcome

    assert isinstance(order, Order)
    console = Console(soft_wrap=True, highlight=False)
    passed = True
    with console.status("starting") as status:
        for event in check_apart(order):
            if isinstance(event, Unusable):
                passed = passed and not event.broken
                console.print(Text(event.message, style="bold red" if event.broken else "yellow"))
                console.print()
            elif isinstance(event, Announced):
                console.print(Text(f"{event.label} [{event.source}]", style="bold"))
            elif isinstance(event, CheckInfo):
                status.update(f"{event.name}: {event.proves}")
            elif isinstance(event, Outcome):
                show_outcome(console, event)
            else:
                passed = passed and event.passed
                show_end(console, event)
                console.print()
    return passed


def _list_checks() -> None:
    from fal_bench.conformance.runner import FAMILIES

    width = max(len(one.name) for family in FAMILIES for one in family.checks)
    for family in FAMILIES:
        typer.echo(f"Checks of {family.subject.kind.words}:")
        for one in family.checks:
            typer.echo(f"  {one.name:<{width}}  {one.info.proves}")
