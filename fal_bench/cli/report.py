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
    StoredSeedsOption,
    StoredSuiteOption,
    StrategyOption,
    TargetOption,
    TaskOption,
    folder_or_file,
)
from fal_bench.cli.output import show_and_write


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=folder_or_file, help="The results folder.", show_default=True
        ),
    ] = Path("results"),
    target_acc: TargetOption = None,
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
    from fal_bench.publication.evidence import published_evidence
    from fal_bench.publication.folder import is_published
    from fal_bench.report.answer import answer
    from fal_bench.report.stored import Filter, stored_evidence
    from fal_bench.report.targets import Question
    from fal_bench.results.store import Store

    chosen = Filter(suite, task, tuple(strategy or ()), seeds, external)
    evidence, problems = (
        (published_evidence(folder, chosen), [])
        if is_published(folder)
        else stored_evidence(Store(folder), chosen)
    )
    question = Question.make(
        target_acc or evidence.targets, accounting.value, baseline, evidence.strategies
    )
    for problem in problems:
        typer.echo(f"Warning: {problem}", err=True)
    show_and_write(answer(question, evidence), None if is_published(folder) else folder, form)
