"""What all verbs print alike, and what ``compare`` and ``report`` write."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from fal_bench.cli.options import Format
from fal_bench.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from fal_bench.api import Runs
    from fal_bench.reporting.answer import Comparison, TextFormat
    from fal_bench.results.model import MissingRun


INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

SHOWN_LABELS = 4

_UNWRAPPED = 10_000


def begin(what: str) -> None:
    """Say what begins, at once: PyTorch alone takes seconds to load.

    Nothing is said in a process that has loaded it.

    Args:
        what: what begins, as in "Reading results".
    """
    if "torch" not in sys.modules:
        typer.echo(f"{what} ...", err=True)


def terminal() -> Console:
    """Return standard output as a terminal; in a pipe or file no line is wrapped."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        return console
    return Console(width=_UNWRAPPED, highlight=False)


def show(what: RenderableType) -> None:
    """Print on standard output; in a pipe or file no line is wrapped, and none ends in blanks."""
    console = terminal()
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


@contextmanager
def exit_if_stopped(what: str) -> Iterator[None]:
    """After Ctrl-C while the context is open, say in a sentence what becomes of the work, and exit.

    Args:
        what: the sentence's second half.
    """
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Stopped; {what}.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def show_and_write(
    result: Comparison, out: Path | None, form: Format, *, explain: bool = False
) -> None:
    """Write the files, and print the boards; exit with 1 if runs are missing.

    In a form for programs, standard output holds nothing else. Without a folder nothing is
    written.

    Args:
        result: what is shown.
        out: the folder.
        form: how it is printed.
        explain: whether every note stands below the boards.

    Raises:
        StoreError, OSError: the folder cannot be written; the boards have been printed then.
    """
    paths: list[Path] = []
    failure: Exception | None = None
    try:
        paths = [] if out is None else result.write(out)
    except (StoreError, OSError) as error:  # a folder that may only be read still gets its answer
        failure = error
    if form is Format.table:
        from fal_bench.reporting.terminal import Terminal

        show(Terminal(result.boards, explain, hint=True))
    else:
        typer.echo(result.text(cast("TextFormat", form.value)), nl=False)
    if failure is not None:
        raise failure
    if paths:
        typer.echo("Wrote " + ", ".join(map(str, paths)), err=form is not Format.table)
    if result.missing:
        raise typer.Exit(1)


def say(kind: str, text: str) -> None:
    """Print a note or a warning."""
    typer.echo(f"{kind.capitalize()}: {text}", err=True)


def show_tracebacks(context: typer.Context, missing: Sequence[MissingRun]) -> None:
    """With ``--debug``, print the traceback of every failed run that has one."""
    for run in missing if context.find_root().obj else ():
        if run.traceback:
            typer.echo(
                f"{run.task}, {run.strategy}, seed {run.seed} failed:\n{run.traceback}", err=True
            )


def show_federations(runs: Runs) -> None:
    """Print who holds what on each task."""
    from fal_bench.inspection.clients import ClientTable

    for federation in runs.federations(say):
        show(ClientTable(federation))


def show_missing(runs: Runs, *, inline: bool) -> None:
    """Print how many runs are missing, of which strategy and task, and how long they take."""
    from collections import Counter

    from fal_bench.sweep.estimate import estimate

    plan, missing, total, jobs = runs.plan, runs.missing, len(runs.plan.runs), runs.jobs
    if not missing:
        typer.echo(f"All {total} runs are there; nothing to run.")
        return
    for (task, label), count in Counter((run.task.name, run.label) for run in missing).items():
        typer.echo(f"{task}  {label}: {count} of {len(plan.seeds)} seeds missing")
    found = estimate(runs.store, plan.runs, missing, jobs, plugins=plan.plugins, inline=inline)
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
