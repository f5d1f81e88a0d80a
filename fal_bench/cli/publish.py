"""``falbench publish``: the comparison of a results folder, ready for others to verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    Accounting,
    AccuracyTargetOption,
    BaselineOption,
    StoredSeedsOption,
    StoredStrategyOption,
    StoredSuiteOption,
    TargetOption,
    TaskOption,
    folder_or_file,
)
from fal_bench.cli.output import begin, say
from fal_bench.errors import InvalidSpecError


def publish(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            parser=folder_or_file,
            help="The results folder, or results published before.",
            show_default=True,
        ),
    ] = Path("results"),
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=folder_or_file,
            help="Where to; new, empty, or published before.",
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        bool,
        typer.Option(
            "--index",
            help="Write index.html over all results published in the folders of RESULTS.",
        ),
    ] = False,
    target: TargetOption = None,
    target_acc: AccuracyTargetOption = None,
    strategy: StoredStrategyOption = None,
    suite: StoredSuiteOption = None,
    task: TaskOption = None,
    seeds: StoredSeedsOption = None,
    accounting: Annotated[
        Accounting | None,
        typer.Option(
            help="Rank by every label read, by the papers' count, or by what all labels read "
            "cost.  [default: strict, or as published]"
        ),
    ] = None,
    baseline: BaselineOption = None,
) -> None:
    """Publish a comparison for others to verify.

    Runs nothing. Writes leaderboard.csv, curves.csv, charges.csv, leaderboard.html and
    provenance.json, which says how the results came about and all that falbench verify needs to
    compute them again. An incomplete comparison is refused. Results published before are drawn
    again, from their curves. With --index it publishes nothing, and writes one page over what is
    published.
    """
    begin("Reading results")
    from fal_bench import api
    from fal_bench.results.record import is_published

    if (to is None) != index:
        raise InvalidSpecError(
            "Name where to publish with --to DIR, or write a page over published results with "
            "--index; it takes one of the two."
        )
    if to is None:
        typer.echo(f"Wrote {api.publish_index(folder)}.")
        return
    again = is_published(folder)
    record = api.publish(
        folder,
        to,
        target_acc=target_acc or None,
        target=target or None,
        strategies=strategy or None,
        suite=suite,
        task=task,
        seeds=seeds,
        accounting=accounting.value if accounting else None,
        baseline=baseline,
        notify=say,
    )
    if again:
        typer.echo(f"Published {record.summary} in {to} as this falbench draws them.")
    else:
        typer.echo(f"Published {record.summary} in {to}; check it with: falbench verify {to}")
