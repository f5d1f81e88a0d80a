"""``falbench import``: learning curves that were measured elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import OutOption
from fal_bench.cli.output import begin, say


def import_curves(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="CURVES.csv",
            help="A table with the columns task, strategy, seed, labels, and accuracy or another "
            "metric.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="The suite of its tasks.  [default: all suites of the package]",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call the import.  [default: the file's name]"),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take an import away again.")
    ] = None,
    out: OutOption = Path("results"),
) -> None:
    """Import learning curves measured elsewhere.

    compare and report show them as external. They are ranked only if the file's column task_hash
    says that their tasks are the same, as the curves.csv of another falbench run does (see
    docs/external-curves.md). Further columns are optional: cycle, labels_strict, bytes_up,
    bytes_down, train_seconds, select_seconds, reference. Any other column of numbers is a metric.
    """
    begin("Reading curves")
    from fal_bench import api
    from fal_bench.errors import InvalidSpecError
    from fal_bench.results.imported import ImportFolder
    from fal_bench.results.store import Store

    if remove is not None and file is None:
        ImportFolder(Store(out).root).remove(remove)
        typer.echo(f"Removed {remove}.")
        return
    if file is None or remove is not None:
        raise InvalidSpecError("Name a CSV file to import, or an import to --remove; not both.")
    found = api.import_curves(file, out=out, suite=suite, name=name)
    if found.ignored:
        say("note", f"falbench has no use for the columns {', '.join(found.ignored)}.")
    if found.since:
        typer.echo(f"{file} is imported as {found.name!r} since {found.since}; nothing changed.")
    else:
        metrics = ", ".join(found.metrics)
        typer.echo(f"Imported {found.rows} rows of {file} as {found.name!r} (metrics: {metrics}).")
    for sentence in found.preview:
        typer.echo(sentence)
    typer.echo(f"To undo it: falbench import --remove {found.name} --out {out}")
