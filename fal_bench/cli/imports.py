"""``falbench import``: learning curves that were measured elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import OutOption


def import_curves(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="CURVES.csv",
            help="A table with the columns task, strategy, seed, labels and accuracy.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="The suite of its tasks.  \\[default: all suites of the package]",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call the import.  \\[default: the file's name]"),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take an import away again.")
    ] = None,
    out: OutOption = Path("results"),
) -> None:
    """Import learning curves measured elsewhere; compare and report show them as external.

    They are ranked only if the file's column task_hash says that their tasks are the same, as the
    curves.csv of another falbench run does (see docs/external-curves.md). Further columns are
    optional: cycle, labels_strict, precision, loss, bytes_up, bytes_down, train_seconds,
    select_seconds, reference.
    """
    from fal_bench.errors import InvalidSpecError
    from fal_bench.external.folder import ExternalFolder, read_import
    from fal_bench.inputs.arguments import check_text
    from fal_bench.report.context import task_facts
    from fal_bench.report.external import preview
    from fal_bench.results.store import Store
    from fal_bench.task.suite import load_suite, suite_names

    check_text("suite", suite)
    folder = ExternalFolder(Store(out).root)
    if remove is not None and file is None:
        folder.remove(remove)
        typer.echo(f"Removed {remove}.")
        return
    if file is None or remove is not None:
        raise InvalidSpecError("Name a CSV file to import, or an import to --remove; not both.")
    suites = [suite] if suite else suite_names()
    tasks = {(task.name, task.hash): task for one in suites for task in load_suite(one).tasks}
    hint = "" if suite else "without --suite, "
    new, ignored = read_import(file, tasks.values(), name=name, hint=hint)
    if ignored:
        typer.echo(f"Note: falbench has no use for the columns {', '.join(ignored)}.", err=True)
    there = folder.add(new)
    if there is not new:
        typer.echo(f"{file} is imported as {there.name!r} since {there.imported}; nothing changed.")
    else:
        typer.echo(f"Imported {len(new.rows)} rows of {file} as {new.name!r}.")
    for sentence in preview(there, [task_facts(task, pool=0) for task in tasks.values()]):
        typer.echo(sentence)
    typer.echo(f"To undo it: falbench import --remove {there.name} --out {out}")
