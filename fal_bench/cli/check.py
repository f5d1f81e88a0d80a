"""``falbench check``: does a strategy or a trainer satisfy what every one must?"""

from __future__ import annotations

from typing import Annotated

import typer

from fal_bench.errors import InvalidSpecError


def check(
    plugins: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME_OR_FILE...",
            help="Strategies and trainers by name, with parameters as in 'logo\\[n_init=4]', or "
            "plugin files.",
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

    Strategies run in the real harness on small made-up data, trainers on made-up batches and in
    the real engines, in a process of their own. Ends with 0 if
    everything that applies holds, else with 1.
    """
    if list_checks:
        _list_checks()
        return
    if not plugins:
        raise InvalidSpecError("Name a strategy, a trainer or a plugin file, or use --list.")
    from fal_bench.conformance.process import Order

    if not _show(Order(tuple(plugins), tuple(only or ()), call_timeout)):
        raise typer.Exit(1)


def _show(order: object) -> bool:
    """Print what happens; return whether all plugins pass."""
    from rich.console import Console
    from rich.text import Text

    from fal_bench.conformance.process import Announced, Order, Unusable, check_apart
    from fal_bench.conformance.report import Begun, Outcome, show_end, show_outcome

    assert isinstance(order, Order)
    console = Console(soft_wrap=True, highlight=False)
    passed = True
    with console.status("starting") as status:
        for event in check_apart(order):
            if isinstance(event, Unusable):
                passed = passed and not event.broken
                console.print(Text(event.told, style="bold red" if event.broken else "yellow"))
                console.print()
            elif isinstance(event, Announced):
                console.print(Text(f"{event.label} [{event.source}]", style="bold"))
            elif isinstance(event, Begun):
                status.update(f"{event.name}: {event.proves}")
            elif isinstance(event, Outcome):
                show_outcome(console, event)
            else:
                passed = passed and event.passed
                show_end(console, event)
                console.print()
    return passed


def _list_checks() -> None:
    from fal_bench.conformance.checks import CHECKS
    from fal_bench.conformance.trainer_checks import TRAINER_CHECKS

    strategies = [one.begun for one in CHECKS]
    trainers = [one.begun for one in TRAINER_CHECKS]
    width = max(len(one.name) for one in strategies + trainers)
    for kind, checks in (("strategies", strategies), ("trainers", trainers)):
        typer.echo(f"Checks of {kind}:")
        for one in checks:
            typer.echo(f"  {one.name:<{width}}  {one.proves}")
