"""``falbench report``: rebuild the leaderboard from stored runs; runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    Accounting,
    AccountingOption,
    BaselineOption,
    ExternalOption,
    Format,
    FormatOption,
    MetricTargetOption,
    StoredSeedsOption,
    StoredSuiteOption,
    StrategyOption,
    TargetOption,
    TaskOption,
    folder_or_file,
)
from fal_bench.cli.output import say, show_and_write


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=folder_or_file, help="The results folder.", show_default=True
        ),
    ] = Path("results"),
    target_acc: TargetOption = None,
    target: MetricTargetOption = None,
    strategy: StrategyOption = None,
    suite: StoredSuiteOption = None,
    task: TaskOption = None,
    seeds: StoredSeedsOption = None,
    accounting: AccountingOption = Accounting.strict,
    baseline: BaselineOption = None,
    form: FormatOption = Format.table,
    external: ExternalOption = True,
) -> None:
    """Rebuild the leaderboard of a results folder from its runs; runs nothing.

    All stored strategies and seeds take part unless fewer are named. Neither plugins nor data are
    needed. Writes leaderboard.csv, curves.csv and leaderboard.html into the folder; one that holds
    published results stays as it is.
    """
    from fal_bench import api
    from fal_bench.results.published import is_published

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
    show_and_write(result, None if is_published(folder) else folder, form)
