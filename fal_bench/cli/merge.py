"""``falbench merge``: finished runs of several results folders in one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import folder_or_file
from fal_bench.cli.output import begin, say


class Keep(StrEnum):
    """Which of two differing runs to keep."""

    first = "first"
    last = "last"


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", parser=folder_or_file, help="Results folders."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", parser=folder_or_file, help="Where to; it may hold runs already."
        ),
    ],
    keep: Annotated[
        Keep | None,
        typer.Option(help="Which of several differing runs to keep.  [default: refuse them]"),
    ] = None,
) -> None:
    """Merge the finished runs of several results folders into one.

    Equal runs are copied once. Runs that differ in more than their timings are refused, before
    anything is written, unless --keep says which to take. Go on with: falbench report DIR
    """
    begin("Reading results")
    from fal_bench import api

    merged = api.merge(folders, out, keep=None if keep is None else keep.value)
    for warning in merged.warnings:
        say("warning", warning)
    for note in merged.notes:
        say("note", note)
    for count, what in (
        (merged.equal, "already there and equal"),
        (merged.conflicts, f"different, kept the {keep}"),
        (merged.unfinished, "left out, since not finished"),
    ):
        if count:
            typer.echo(f"{count} run{'' if count == 1 else 's'} {what}.")
    typer.echo(
        f"Copied {merged.copied} run{'' if merged.copied == 1 else 's'} to {out}; "
        f"falbench report {out} shows them."
    )
