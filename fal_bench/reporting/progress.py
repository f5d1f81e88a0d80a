"""The live display of a running comparison, read from the store alone."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.reporting.wording import measured
from fal_bench.results.store import Store
from fal_bench.sweep.plan import Monitor, no_monitor
from fal_bench.sweep.spec import RunSpec
from fal_bench.task.target import ACCURACY

SHOWN_RUNS = 8
SECONDS_BETWEEN_LOOKS = 0.5


@contextmanager
def show_progress(
    store: Store,
    runs: Sequence[RunSpec],
    console: Console | None = None,
    metric: str = ACCURACY,
) -> Iterator[None]:
    """Show how far runs are while the context is open.

    On a terminal the display is live; otherwise one line is printed per finished run.

    Args:
        store: the results folder.
        runs: all runs of the comparison, finished ones included.
        console: where to show it; standard error by default.
        metric: what is shown of each run.
    """
    console = console or Console(stderr=True)
    progress = Progress(store, runs, metric)
    if console.is_terminal:
        refresh = 1 / SECONDS_BETWEEN_LOOKS
        with Live(
            get_renderable=progress.render,
            console=console,
            refresh_per_second=refresh,
            transient=True,
        ):
            yield
        return
    over = threading.Event()

    def say() -> None:
        for line in progress.news():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def report() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            say()

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()
        say()


class Progress:
    """How far each run is.

    Args:
        store: the results folder.
        runs: all runs of the comparison.
        metric: what is shown of each.
    """

    def __init__(self, store: Store, runs: Sequence[RunSpec], metric: str = ACCURACY) -> None:
        self._metric = metric
        self._store = store
        self._runs = runs
        self._started = time.monotonic()
        self._ended: dict[str, str] = {}
        self._rows: dict[str, list[Row]] = {}
        self._look(first=True)
        self._reported = set(self._ended)
        self._work_before = self._work_done()

    def news(self) -> list[str]:
        """Return one line for each run that ended since the last call."""
        self._look()
        lines = []
        for run in self._runs:
            if run.key in self._ended and run.key not in self._reported:
                self._reported.add(run.key)
                lines.append(f"[{len(self._reported)}/{len(self._runs)}] {run}: {self._state(run)}")
        return lines

    def render(self) -> RenderableType:
        """Return the display: a bar with the time left, and the runs at work."""
        self._look()
        header = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=len(self._runs), completed=self._work_done(), width=30)
        failed = sum(phase == "failed" for phase in self._ended.values())
        header.add_row(
            Text(f"{len(self._ended)} of {len(self._runs)} runs"),
            bar,
            Text(self._time_left()),
            Text(f"{failed} failed", style="red") if failed else Text(""),
        )
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("task")
        table.add_column("strategy")
        for name in ("seed", "labels", self._metric):
            table.add_column(name, justify="right")
        running = [
            run for run in self._runs if run.key in self._rows and run.key not in self._ended
        ]
        for run in running[:SHOWN_RUNS]:
            row = self._shown(run)
            table.add_row(
                Text(run.task.name),
                Text(run.label),
                str(run.seed),
                f"{row.labels}/{run.task.budget_cap}",
                self._measured(row),
            )
        return Group(header, table)

    def _look(self, *, first: bool = False) -> None:
        """Read the store again, but not the runs that have ended."""
        for run in self._runs:
            if run.key in self._ended:
                continue
            folder = self._store.folder(run)
            try:
                phase, rows = folder.status()["phase"], folder.rows()
            except StoreError:
                continue  # it has not begun, or its files are damaged
            if rows:
                self._rows[run.key] = rows
            # A failed run counts as ended only once this run has had a try at it.
            if phase == "done" or (phase == "failed" and not first):
                self._ended[run.key] = phase

    def _state(self, run: RunSpec) -> str:
        if self._ended[run.key] == "failed":
            return f"failed: {self._store.folder(run).status()['reason']}"
        row = self._shown(run)
        return f"{self._metric} {self._measured(row)} at {row.labels} labels"

    def _shown(self, run: RunSpec) -> Row:
        """Return the last row up to the cap; what a run buys beyond only confirms."""
        rows = self._rows[run.key]
        return next((row for row in rows[::-1] if row.labels <= run.task.budget_cap), rows[-1])

    def _measured(self, row: Row) -> str:
        # The growing file may be damaged, or lack the metric; nothing rests on it.
        return measured(row.metrics.get(self._metric, math.nan), self._metric) or "unknown"

    def _work_done(self) -> float:
        """Return finished runs, and running ones by the labels they have been trained on."""
        done = float(len(self._ended))
        for run in self._runs:
            if run.key not in self._ended and run.key in self._rows:
                counts = run.task.looks
                reached = self._rows[run.key][-1].labels
                done += sum(count for count in counts if count <= reached) / sum(counts)
        return done

    def _time_left(self) -> str:
        elapsed = time.monotonic() - self._started
        gained = self._work_done() - self._work_before
        if gained <= 0 or elapsed < 3:
            return "starting workers"
        left = elapsed * (len(self._runs) - self._work_done()) / gained
        return f"about {timedelta(seconds=round(left))} left"


def progress_monitor(metric: str = ACCURACY, *, shown: bool) -> Monitor:
    """Return the live display of a metric, or one that shows nothing."""
    return partial(show_progress, metric=metric) if shown else no_monitor
