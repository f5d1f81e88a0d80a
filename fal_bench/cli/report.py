"""``falbench report``: rebuild the leaderboard from stored runs; runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    Accounting,
    AccountingOption,
    AccuracyTargetOption,
    BaselineOption,
    ExplainOption,
    ExternalOption,
    Format,
    FormatOption,
    StoredSeedsOption,
    StoredStrategyOption,
    StoredSuiteOption,
    TargetOption,
    TaskOption,
    folder_or_file,
)
from fal_bench.cli.output import begin, say, show_and_write


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=folder_or_file, help="The results folder.", show_default=True
        ),
    ] = Path("results"),
    target: TargetOption = None,
    target_acc: AccuracyTargetOption = None,
    strategy: StoredStrategyOption = None,
    suite: StoredSuiteOption = None,
    task: TaskOption = None,
    seeds: StoredSeedsOption = None,
    accounting: AccountingOption = Accounting.strict,
    baseline: BaselineOption = None,
    form: FormatOption = Format.table,
    external: ExternalOption = True,
    explain: ExplainOption = False,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=folder_or_file,
            help="Where to write the files.  [default: into DIR, if all of it takes part]",
        ),
    ] = None,
) -> None:
    """Show the leaderboard of stored runs.

    Runs nothing. All stored strategies and seeds take part unless fewer are named. Neither plugins
    nor data are needed. Writes leaderboard.csv, curves.csv and leaderboard.html into the folder. A
    report of a part of it, by --strategy, --task or --seeds, is printed and writes nothing unless
    --to says where; nor does a report of published results.
    """
    begin("Reading results")
    from fal_bench import api
    from fal_bench.results.record import is_published

    result = api.report(
        folder,
        target_acc=target_acc or None,
        target=target or None,
        strategies=strategy or None,
        suite=suite,
        task=task,
        seeds=seeds,
        accounting=accounting.value,
        baseline=baseline,
        external=external,
        notify=say,
    )
    part = bool(strategy or task or seeds)
    own = None if part or is_published(folder) else folder
    show_and_write(result, to or own, form, explain=explain)
