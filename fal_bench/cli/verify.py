"""``falbench verify``: are published results those that were published, and do they recompute?"""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fal_bench.cli.options import (
    CallTimeoutOption,
    DataDirOption,
    MemoryLimitOption,
    PluginOption,
    folder_or_file,
)
from fal_bench.cli.output import begin, exit_if_stopped, terminal
from fal_bench.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from fal_bench.publication.closeness import RunOutcome
    from fal_bench.publication.verification import Sample, Verification
    from fal_bench.results.record import Record


def verify(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", parser=folder_or_file, help="A folder that falbench publish wrote."
        ),
    ],
    runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many runs to compute again.")
    ] = 4,
    every: Annotated[bool, typer.Option("--all", help="Compute all runs again.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="S",
            help="Seed of the choice of runs.  [default: a new one each time]",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Workers.")] = 1,
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="X",
            help="Largest allowed difference of metrics; 0 asks for the same bits everywhere.",
            show_default="same bits; elsewhere what rounding can do",
        ),
    ] = None,
    call_timeout: CallTimeoutOption = 600.0,
    memory_limit: MemoryLimitOption = None,
) -> None:
    """Verify published results.

    Compares the files with each other, and computes some runs again. Board, page and every name are
    rebuilt from the curves. The runs are computed in a temporary folder, and every row of their
    curves is compared with the published one, timings aside: bit for bit, or, on another processor
    or with other versions, within what rounding can do.

    Ends with 0 if all is equal, with 3 if it is only close, and with 1 if something differs.
    """
    with exit_if_stopped("nothing was kept"):
        begin("Reading results")
        from fal_bench import api

        display = Display(terminal())
        result = api.verify(
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
    if not result.equal:
        raise typer.Exit(CLOSE if result.passed else 1)


CLOSE = 3
"""Exit code where nothing differs, and not everything is equal."""

_STYLES = {
    "same": "green",
    "close": "bold yellow",
    "UNCHECKED": "bold yellow",
    "UNKNOWN": "bold red",
    "changed": "bold red",
    "missing": "bold red",
    "DIFFERS": "bold red",
    "FAILED": "bold red",
}


class Display:
    """Prints a verification as it goes on.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def _print(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text(one_line(text), style=style))

    def announce(self, state: Verification) -> None:
        """Print what is new: first the files, then the runs that are going to be computed."""
        if state.sample is None:
            self._show_files(state)
        else:
            self._show_sample(state.record, state.sample)

    def conclude(self, result: Verification) -> None:
        """Print the runs and the result."""
        names = [outcome.run.identity for outcome in result.runs]
        task_width = max((len(task) for task, _, _ in names), default=0)
        label_width = max((len(label) for _, label, _ in names), default=0)
        for outcome in result.runs:
            self._show_run(outcome, task_width, label_width)
        for change in result.budgets:
            self._line("close", str(change))
        self._console.print()
        good = "bold green" if result.equal else "bold yellow"
        self._print(result.summary, good if result.passed else "bold red")
        if result.runs and result.sample is not None:
            self._print(_chance(result.sample))
        if result.caution:
            self._print(result.caution, "bold black on yellow")

    def _show_files(self, state: Verification) -> None:
        record = state.record
        made = f"published {record.published[:10]} by falbench {record.falbench}"
        self._print(f"{record.summary}, {made}", "bold")
        for file in state.files:
            self._line("UNKNOWN" if file.state == "unknown" else file.state, file.name)
        for check in state.checks:
            word = check.state if check.state == "same" else check.state.upper()
            self._line(word, f"{check.name}: {check.note}" if check.note else check.name)

    def _show_sample(self, record: Record, sample: Sample) -> None:
        count = len(sample.runs)
        chosen = f"all {count}" if count == record.n_runs else f"{count} of {record.n_runs}"
        how = "" if sample.seed is None else f", chosen with --seed {sample.seed}"
        took = timedelta(seconds=round(sample.seconds))
        self._console.print()
        self._print(f"Recomputing {chosen} runs{how}; they took {took} when they were published.")
        if sample.environment:
            self._print(sample.environment, "yellow")

    def _show_run(self, outcome: RunOutcome, task_width: int, label_width: int) -> None:
        task, label, seed = outcome.run.identity
        said = f"{task:<{task_width}}  {label:<{label_width}}  seed {seed}  "
        if outcome.state == "same":
            self._line("same", f"{said}{outcome.cycles} cycles")
        elif outcome.state == "close":
            self._line("close", f"{said}{outcome.note}")
        elif outcome.state == "differs":
            gap = f" (largest difference in accuracy {outcome.accuracy_gap:.2g})"
            self._line("DIFFERS", f"{said}{outcome.note}{gap}")
        else:
            self._line("FAILED", f"{said}{outcome.note}")

    def _line(self, state: str, text: str) -> None:
        from rich.text import Text

        shown = text if text.isprintable() else one_line(text)
        line = Text(f"{state:<9} {shown}")
        line.stylize(_STYLES[state], 0, len(state))
        self._console.print(line)


def _chance(sample: Sample) -> str:
    """Say which chance the runs computed again had to catch a forged one."""
    if sample.seed is None:
        return "All runs were recomputed, so a forged one could not hide among others."
    count, total = len(sample.runs), sample.total
    return (
        f"One forged run of {total} had a chance of {sample.chance:.2g} to be among these {count}; "
        f"--runs {math.ceil(0.95 * total)} gives 0.95, --all leaves none out."
    )
