"""``falbench publish``: the comparison of a results folder, ready for others to verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    Accounting,
    AccountingOption,
    BaselineOption,
    StoredSeedsOption,
    StoredSuiteOption,
    StrategyOption,
    TargetOption,
    TaskOption,
    folder_or_file,
)


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
            metavar="[RESULTS]",
            parser=folder_or_file,
            help="The results folder.",
            show_default=True,
        ),
    ] = Path("results"),
    target_acc: TargetOption = None,
    strategy: StrategyOption = None,
    suite: StoredSuiteOption = None,
    task: TaskOption = None,
    seeds: StoredSeedsOption = None,
    accounting: AccountingOption = Accounting.strict,
    baseline: BaselineOption = None,
) -> None:
    """Publish the comparison of a results folder so that others can verify it; runs nothing.

    Writes leaderboard.csv, curves.csv, leaderboard.html and provenance.json, which says how the
    results came about and all that falbench verify needs to compute them anew. An incomplete
    comparison is refused.
    """
    from fal_bench.publication import publishing

    record, notes = publishing.publish(
        folder,
        to,
        strategies=strategy or (),
        target_acc=target_acc,
        suite=suite,
        task=task,
        seeds=seeds,
        accounting=accounting.value,
        baseline=baseline,
    )
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(f"Published {record.summary} in {to}; check it with: falbench verify {to}")
