"""What ``compare`` and ``report`` print and write in the end."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from fal_bench.cli.options import Format
from fal_bench.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fal_bench.reporting.answer import Comparison, TextFormat
    from fal_bench.results.model import MissingRun


INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


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


def show_and_write(result: Comparison, out: Path | None, form: Format) -> None:
    """Write the files, and print the boards; exit with 1 if runs are missing.

    In a form for programs, standard output holds nothing else. Without a folder nothing is
    written.

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
        from rich.console import Console

        Console().print(result)
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
