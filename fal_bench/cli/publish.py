"""``falbench publish``: the comparison of a results folder, ready for others to verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    Accounting,
    BaselineOption,
    StoredSeedsOption,
    StoredSuiteOption,
    StrategyOption,
    TargetOption,
    TaskOption,
    folder_or_file,
)
from fal_bench.errors import InvalidSpecError


def publish(
    to: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=folder_or_file,
            help="Where to; new, empty, or published before.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            parser=folder_or_file,
            help="The results folder, or results published before.",
            show_default=True,
        ),
    ] = Path("results"),
    target_acc: TargetOption = None,
    strategy: StrategyOption = None,
    suite: StoredSuiteOption = None,
    task: TaskOption = None,
    seeds: StoredSeedsOption = None,
    accounting: Annotated[
        Accounting | None,
        typer.Option(
            help="Rank by every label read, or by the papers' count.  "
            "\\[default: strict, or as published]"
        ),
    ] = None,
    baseline: BaselineOption = None,
) -> None:
    """Publish the comparison of a results folder so that others can verify it; runs nothing.

    Writes leaderboard.csv, curves.csv, charges.csv, leaderboard.html and provenance.json, which
    says how the results came about and all that falbench verify needs to compute them anew. An
    incomplete comparison is refused. Results published before are drawn anew, from the curves of
    then.
    """
    from fal_bench.publication import publishing, redrawing
    from fal_bench.publication.folder import is_published

    if is_published(folder):
        _refuse_parts(strategy=strategy, suite=suite, task=task, seeds=seeds)
        record = redrawing.redraw(
            folder,
            to,
            target_acc=target_acc,
            accounting=accounting and accounting.value,
            baseline=baseline,
        )
        typer.echo(f"Published {record.summary} in {to} as this falbench draws them.")
        return
    record, notes = publishing.publish(
        folder,
        to,
        strategies=strategy or (),
        target_acc=target_acc,
        suite=suite,
        task=task,
        seeds=seeds,
        accounting=(accounting or Accounting.strict).value,
        baseline=baseline,
    )
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(f"Published {record.summary} in {to}; check it with: falbench verify {to}")


def _refuse_parts(**chosen: object) -> None:
    """Check that results published before are drawn as a whole."""
    given = [name for name, value in chosen.items() if value]
    if given:
        raise InvalidSpecError(
            f"Results published before are drawn as a whole; leave --{given[0]} out, or name the "
            "results folder that they came from."
        )
