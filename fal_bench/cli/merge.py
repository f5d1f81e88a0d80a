"""``falbench merge``: finished runs of several results folders in one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


class Keep(StrEnum):
    """Which of two differing runs to keep."""

    first = "first"
    last = "last"


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to; it may hold runs already.")],
    keep: Annotated[
        Keep | None,
        typer.Option(help="Which of several differing runs to keep.  \\[default: refuse them]"),
    ] = None,
) -> None:
    """Merge the finished runs of several results folders into one.

    Equal runs are copied once. Runs that differ in more than their timings are refused, before
    anything is written, unless --keep says which to take. Go on with: falbench report DIR
    """
    from fal_bench.external.folder import ExternalFolder
    from fal_bench.sweep.merge import merge_stores
    from fal_bench.results.store import Store

    chosen: Literal["first", "last"] | None = None if keep is None else keep.value
    merged = merge_stores([Store(folder) for folder in folders], Store(out), chosen)
    for warning in merged.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    for folder in folders:
        if ExternalFolder(folder).names():
            typer.echo(f"Note: the external curves of {folder} stay there.", err=True)
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
