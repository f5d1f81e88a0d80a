"""``falbench verify``: are published results those that were published, and do they recompute?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    CallTimeoutOption,
    DataDirOption,
    MemoryLimitOption,
    PluginOption,
    folder_or_file,
)
from fal_bench.cli.output import told_if_stopped


def verify(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=folder_or_file, help="A folder that falbench publish wrote."
        ),
    ],
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many runs to compute anew.")
    ] = 4,
    every: Annotated[bool, typer.Option("--all", help="Compute all runs anew.")] = False,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Seed of the choice of runs.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Workers.")] = 1,
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="X",
            help="Largest allowed difference in accuracy, precision and loss; 0 asks for the same "
            "bits everywhere.",
            show_default="same bits; elsewhere what rounding can do",
        ),
    ] = None,
    call_timeout: CallTimeoutOption = 600.0,
    memory_limit: MemoryLimitOption = None,
) -> None:
    """Verify published results: compare checksums, and compute a sample of the runs anew.

    The runs are computed in a temporary folder, and every row of their curves is compared with
    the published one, timings aside: bit for bit, or, on another processor or with other versions,
    within what rounding can do. Ends with 0 if all agree, with 1 if something differs.
    """
    with told_if_stopped("nothing was kept"):
        from rich.console import Console

        from fal_bench.publication.display import Display
        from fal_bench.publication.verification import verify as verify_results

        display = Display(Console(soft_wrap=True, highlight=False), seed)
        result = verify_results(
            folder,
            runs=None if every else runs,
            seed=seed,
            jobs=jobs,
            plugins=plugin or (),
            tolerance=tolerance,
            call_timeout=call_timeout,
            memory_limit=memory_limit,
            announce=display.announce,
        )
    display.conclude(result)
    if not result.passed:
        raise typer.Exit(1)
