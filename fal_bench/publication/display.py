"""What ``falbench verify`` prints."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.text import Text

from fal_bench.publication.curves import RunOutcome
from fal_bench.publication.folder import has_charges
from fal_bench.publication.record import Record
from fal_bench.publication.verification import Sample, Verification

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
        self._console.print(Text(result.summary, style=style))

    def _show_files(self, state: Verification) -> None:
        record = state.record
        made = f"published {record.published[:10]} by falbench {record.falbench}"
        self._console.print(Text(f"{record.summary}, {made}", style="bold"))
        for file in state.files:
            self._line(file.state, file.name)
        if state.ranking:
            self._line("DIFFERS", f"leaderboard ranked anew from the curves: {state.ranking}")
        elif state.unchanged:
            self._line("same", "leaderboard ranked anew from the curves")
        if state.imbalance:
            self._line("DIFFERS", f"charges added up: {state.imbalance}")
        elif state.unchanged and has_charges(record):
            self._line("same", "charges added up")

    def _show_sample(self, record: Record, sample: Sample) -> None:
        count = len(sample.runs)
        chosen = f"all {count}" if count == record.n_runs else f"{count} of {record.n_runs}"
        how = "" if count == record.n_runs else f", chosen with --seed {self._seed}"
        took = timedelta(seconds=round(sample.seconds))
        self._console.print()
        self._console.print(
            Text(f"Recomputing {chosen} runs{how}; they took {took} when they were published.")
        )
        if sample.environment:
            self._console.print(Text(sample.environment, style="yellow"))

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
        line = Text(f"{state:<8} {text}")
        line.stylize(_STYLES[state], 0, len(state))
        self._console.print(line)
