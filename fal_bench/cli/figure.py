"""``falbench figure``: a figure of stored results, for a paper or a talk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    Accounting,
    AccountingOption,
    AccuracyTargetOption,
    BaselineOption,
    ExternalOption,
    StoredSeedsOption,
    StoredStrategyOption,
    StoredSuiteOption,
    TargetOption,
    TaskOption,
    folder_or_file,
)
from fal_bench.cli.output import begin, say
from fal_bench.reporting.figures import FigureKind, FigureWidth, check_suffix, save


def figure(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=folder_or_file, help="A results folder, or published results."
        ),
    ],
    kind: Annotated[
        FigureKind,
        typer.Argument(
            help="Savings with their intervals, learning curves, or savings at every target of "
            "the ladder."
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=folder_or_file,
            help="The file to write; its suffix is .pdf, .svg or .png.",
        ),
    ],
    width: Annotated[
        FigureWidth, typer.Option(help="As wide as a column or a page of a paper with two columns.")
    ] = "page",
    target: TargetOption = None,
    target_acc: AccuracyTargetOption = None,
    strategy: StoredStrategyOption = None,
    suite: StoredSuiteOption = None,
    task: TaskOption = None,
    seeds: StoredSeedsOption = None,
    accounting: AccountingOption = Accounting.strict,
    baseline: BaselineOption = None,
    external: ExternalOption = True,
) -> None:
    """Draw stored results as a figure for a paper.

    Runs nothing. It is drawn by matplotlib, from the numbers of the leaderboard. Of several targets
    it shows the first.
    """
    begin("Reading results")
    from fal_bench import api

    check_suffix(to)
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
    path = save(result.figure(kind, width=width), to)
    typer.echo(f"Wrote {path}")
