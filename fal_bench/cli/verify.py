"""``falbench verify``: are published results those that were published, and do they recompute?"""

from __future__ import annotations

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
from fal_bench.cli.output import exit_if_stopped

if TYPE_CHECKING:
    from rich.console import Console

    from fal_bench.publication.closeness import RunOutcome
    from fal_bench.publication.verification import Sample, Verification
    from fal_bench.results.published import Record


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
    """Verify published results: compare checksums, and compute a sample of the runs again.

    The runs are computed in a temporary folder, and every row of their curves is compared with
    the published one, timings aside: bit for bit, or, on another processor or with other versions,
    within what rounding can do. Ends with 0 if all agree, with 1 if something differs.
    """
    with exit_if_stopped("nothing was kept"):
        from rich.console import Console as Terminal

        from fal_bench import api

        display = Display(Terminal(soft_wrap=True, highlight=False), seed)
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
    if not result.passed:
        raise typer.Exit(1)


_STYLES = {
    "same": "green",
    "close": "green",
    "changed": "bold red",
    "missing": "bold red",
    "DIFFERS": "bold red",
    "FAILED": "bold red",
}


class Display:
    """Prints a verification as it goes on.

    Args:
        console: where to.
        seed: seed of the choice of runs, which is printed.
    """

    def __init__(self, console: Console, seed: int) -> None:
        self._console = console
        self._seed = seed

    def _print(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self._console.print(Text(text, style=style))

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
        self._console.print()
        style = "bold green" if result.passed else "bold red"
        self._print(result.summary, style)

    def _show_files(self, state: Verification) -> None:
        record = state.record
        made = f"published {record.published[:10]} by falbench {record.falbench}"
        self._print(f"{record.summary}, {made}", "bold")
        for file in state.files:
            self._line(file.state, file.name)
        if state.ranking:
            self._line("DIFFERS", f"leaderboard ranked again from the curves: {state.ranking}")
        elif state.unchanged:
            self._line("same", "leaderboard ranked again from the curves")
        if state.imbalance:
            self._line("DIFFERS", f"charges added up: {state.imbalance}")
        elif state.unchanged and state.has_charges:
            self._line("same", "charges added up")

    def _show_sample(self, record: Record, sample: Sample) -> None:
        count = len(sample.runs)
        chosen = f"all {count}" if count == record.n_runs else f"{count} of {record.n_runs}"
        how = "" if count == record.n_runs else f", chosen with --seed {self._seed}"
        took = timedelta(seconds=round(sample.seconds))
        self._console.print()
        self._print(f"Recomputing {chosen} runs{how}; they took {took} when they were published.")
        if sample.environment:
            self._print(sample.environment, "yellow")

    def _show_run(self, outcome: RunOutcome, task_width: int, label_width: int) -> None:
        task, label, seed = outcome.run.identity
        said = f"{task:<{task_width}}  {label:<{label_width}}  seed {seed}  "
        if outcome.state == "same":
            gap = f", accuracy within {outcome.accuracy_gap:.2g}" if outcome.accuracy_gap else ""
            self._line("same", f"{said}{outcome.cycles} cycles{gap}")
        elif outcome.state == "close":
            self._line("close", f"{said}{outcome.note}")
        elif outcome.state == "differs":
            gap = f" (largest difference in accuracy {outcome.accuracy_gap:.2g})"
            self._line("DIFFERS", f"{said}{outcome.note}{gap}")
        else:
            self._line("FAILED", f"{said}{outcome.note}")

    def _line(self, state: str, text: str) -> None:
        from rich.text import Text

        line = Text(f"{state:<8} {text}")
        line.stylize(_STYLES[state], 0, len(state))
        self._console.print(line)
