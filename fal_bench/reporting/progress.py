"""The live display of a running comparison, read from the store alone."""

from __future__ import annotations

import html
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.reporting.wording import counted, measured
from fal_bench.results.store import Store
from fal_bench.sweep.plan import Monitor, no_monitor
from fal_bench.sweep.spec import RunSpec
from fal_bench.task.target import ACCURACY

SHOWN_RUNS = 8
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def show_progress(
    store: Store,
    runs: Sequence[RunSpec],
    console: Console | None = None,
    metric: str = ACCURACY,
) -> Iterator[None]:
    """Show how far runs are while the context is open.

    On a terminal and in a notebook the display is live; else one line is printed at the start, one
    per finished run, and one now and then in between.

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
    if display := notebook_display():
        cell = display(_InCell(progress))
        with _again_and_again(lambda: cell.update(_InCell(progress))):
            yield
        return

    def say() -> None:
        for line in progress.news():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    console.print(progress.opening, markup=False, highlight=False, soft_wrap=True)
    with _again_and_again(say):
        yield


@contextmanager
def _again_and_again(act: Callable[[], None]) -> Iterator[None]:
    """Act in a thread of its own while the context is open, and once more at its end."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        act()


def notebook_display() -> Callable[[object], Any] | None:
    """Return what shows an object in the cell of a notebook, and a handle; None outside of one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

    return partial(display, display_id=True)


@dataclass(frozen=True)
class _InCell:
    """The display in a notebook."""

    progress: Progress

    def _repr_html_(self) -> str:
        done, total = self.progress.work, len(self.progress.runs)
        said = html.escape(self.progress.summary())
        return f'<progress value="{done:.3f}" max="{total}"></progress> {said}'

    def __repr__(self) -> str:
        return self.progress.summary()


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
        self._ended: dict[str, str] = {}
        self._rows: dict[str, list[Row]] = {}
        self._look(first=True)
        self._reported = set(self._ended)
        self._clock = Clock(runs, self._rows, self._ended)
        self._said = time.monotonic()

    @property
    def runs(self) -> Sequence[RunSpec]:
        """All runs of the comparison."""
        return self._runs

    @property
    def opening(self) -> str:
        """What is said before anything has run."""
        there = len(self._ended)
        begun = sum(bool(rows) for key, rows in self._rows.items() if key not in self._ended)
        parts = [counted(len(self._runs), "run")]
        parts += [f"{there} of them done"] if there else []
        parts += [f"{begun} begun before, which go on"] if begun else []
        return f"{', '.join(parts)}; starting workers."

    def summary(self) -> str:
        """Look again, and return in a line how many runs are done and how long the rest takes."""
        self._look()
        failed = sum(phase == "failed" for phase in self._ended.values())
        parts = [f"{len(self._ended)} of {len(self._runs)} runs"]
        parts += [f"{failed} failed"] if failed else []
        over = len(self._ended) == len(self._runs)
        return ", ".join([*parts, "done" if over else self._time_left()])

    def news(self) -> list[str]:
        """Return one line for each run that ended since the last call, or one now and then."""
        self._look()
        lines = []
        for run in self._runs:
            if run.key in self._ended and run.key not in self._reported:
                self._reported.add(run.key)
                lines.append(f"[{len(self._reported)}/{len(self._runs)}] {run}: {self._state(run)}")
        if lines:
            self._said = time.monotonic()
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES and self._ended.keys() < {
            run.key for run in self._runs
        }:
            self._said = time.monotonic()
            lines.append(self.summary())
        return lines

    def render(self) -> RenderableType:
        """Return the display: a bar with the time left, and the runs at work."""
        self._look()
        header = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=len(self._runs), completed=self.work, width=30)
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

    @property
    def work(self) -> float:
        """Finished runs, and running ones by the labels that they have been trained on."""
        return sum(
            1.0 if run.key in self._ended else trained_share(run, self._rows.get(run.key, ()))
            for run in self._runs
        )

    def _time_left(self) -> str:
        left = self._clock.seconds_left()
        return "starting" if left is None else f"about {timedelta(seconds=round(left))} left"


def trained_share(run: RunSpec, rows: Sequence[Row]) -> float:
    """Return how much of a run is done, by the labels that its models were trained on."""
    if not rows:
        return 0.0
    counts = run.task.looks
    return sum(count for count in counts if count <= rows[-1].labels) / sum(counts)


_TELLING = 0.03
"""The share of the work left that must have been done before it tells how long the rest takes."""


class Clock:
    """Estimates how long runs still take, from the seconds that their rows record.

    A run costs what runs of its task and strategy have cost so far for their share of the work;
    where there are none, what runs of its task have; else, what training costs for each label. How
    fast these seconds pass is measured from the first row that is added: how long workers take to
    start says nothing of what comes.

    Args:
        runs: all runs of the comparison.
        rows: the rows of each run, by its key, which the caller keeps up to date.
        ended: the runs that have ended, likewise.
        now: the time in seconds.
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        rows: Mapping[str, Sequence[Row]],
        ended: Mapping[str, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs, self._rows, self._ended, self._now = runs, rows, ended, now
        self._before = self._spent()
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] = (0.0, 0.0)

    def seconds_left(self) -> float | None:
        """Return how long the rest takes; None before enough has happened to tell."""
        spent, now = self._spent(), self._now()
        if spent <= self._before:
            return None
        if self._first is None:
            self._first = self._last = now, spent
        if spent > self._last[1]:
            self._last = now, spent
        (since, before), (until, then) = self._first, self._last
        if then <= before or until <= since:
            return None
        rest = self._rest()
        if then - before < _TELLING * rest:
            return None
        left = rest * (until - since) / (then - before)
        # Part of what was left has passed since, unless the next row is late.
        return max(left - (now - until), left / 2)

    def _spent(self) -> float:
        return sum(_seconds(rows) for rows in self._rows.values())

    def _rest(self) -> float:
        """Return the seconds that are left to be spent."""
        shares = {run.key: trained_share(run, self._rows.get(run.key, ())) for run in self._runs}
        known: dict[object, list[float]] = {}
        for run in self._runs:
            seconds, share = _seconds(self._rows.get(run.key, ())), shares[run.key]
            for place, (like, size) in enumerate(_likenesses(run)):
                total = known.setdefault((place, like), [0.0, 0.0])
                total[0] += seconds
                total[1] += share * size
        rest = 0.0
        for run in self._runs:
            if run.key in self._ended:
                continue
            for place, (like, size) in enumerate(_likenesses(run)):
                seconds, work = known[place, like]
                if work > 0:
                    rest += (1 - shares[run.key]) * size * seconds / work
                    break
        return rest


def _seconds(rows: Iterable[Row]) -> float:
    return sum(row.train_seconds + row.select_seconds for row in rows)


def _likenesses(run: RunSpec) -> tuple[tuple[object, float], ...]:
    """Return what other runs may have in common with a run, the closest first, and its size."""
    task = run.task
    training = float(task.rounds * task.local_epochs * sum(task.looks))
    return ((task.hash, run.label), 1.0), (task.hash, 1.0), (None, training)


def progress_monitor(metric: str = ACCURACY, *, shown: bool) -> Monitor:
    """Return the live display of a metric, or one that shows nothing."""
    return partial(show_progress, metric=metric) if shown else no_monitor
