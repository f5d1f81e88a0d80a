"""``falbench deploy``: a real federation in which people label what a strategy picks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

deploy = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@deploy.callback()
def _deploy() -> None:
    """Run a strategy where the data are."""


@deploy.command("new")
def new_federation(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Its folder, such as my-federation.")
    ],
    task: Annotated[
        str,
        typer.Option(
            metavar="FILE|NAME", help="A suite file with one task, or a task of the package."
        ),
    ],
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", metavar="NAME", help="Which samples are labelled.")
    ] = "fal-margin",
    sites: Annotated[
        str, typer.Option(metavar="A,B,...", help="Names of the sites.  [default: site-0,...]")
    ] = "",
    evaluation_labels: Annotated[
        int, typer.Option(min=0, help="Labels bought to measure the model.")
    ] = 100,
) -> None:
    """Write the folder of a federation: a Flower app, its settings, a file for each site, a README.

    Nothing is overwritten. The README has the commands, from a trial on this machine to servers
    and sites of their own.
    """
    from fal_bench.deploy.scaffold import write_federation
    from fal_bench.task.suite import find_task, load_suite, only_task

    chosen = only_task(load_suite(task)) if task.endswith(".toml") else find_task(task)
    names = [name.strip() for name in sites.split(",") if name.strip()]
    agreed = write_federation(folder, chosen, strategy, names, evaluation_labels)
    typer.echo(f"Wrote {folder}: federation {agreed.name}, {len(agreed.sites)} sites.")
    typer.echo(f"Next: {folder / 'README.md'}")
