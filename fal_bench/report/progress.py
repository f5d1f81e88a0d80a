"""The live display of a running comparison, read from the store alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.sweep.spec import CellSpec
from fal_bench.sweep.store import Corrupt, Store

SHOWN_CELLS = 8
SECONDS_BETWEEN_LOOKS = 0.5


@contextmanager
def show_progress(
    store: Store, cells: Sequence[CellSpec], console: Console | None = None
) -> Iterator[None]:
    """Show how far cells are while the context is open.

    On a terminal the display is live; elsewhere one line is printed per finished cell.

    Args:
        store: the results folder.
        cells: all cells of the comparison, finished ones included.
        console: where to show it; standard error by default.
    """
    console = console or Console(stderr=True)
    progress = Progress(store, cells)
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

    def report() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            for line in progress.news():
                console.print(line, markup=False, highlight=False, soft_wrap=True)

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()
        for line in progress.news():
            console.print(line, markup=False, highlight=False, soft_wrap=True)


class Progress:
    """How far each cell is.

    Args:
        store: the results folder.
        cells: all cells of the comparison.
    """

    def __init__(self, store: Store, cells: Sequence[CellSpec]) -> None:
        self._store = store
        self._cells = cells
        self._started = time.monotonic()
        self._ended: dict[str, str] = {}
        self._rows: dict[str, Row] = {}
        self._look()
        self._told = set(self._ended)
        self._work_before = self._work_done()

    def news(self) -> list[str]:
        """Return one line for each cell that ended since the last call."""
        self._look()
        lines = []
        for cell in self._cells:
            if cell.key in self._ended and cell.key not in self._told:
                self._told.add(cell.key)
                lines.append(f"[{len(self._told)}/{len(self._cells)}] {cell}: {self._state(cell)}")
        return lines

    def render(self) -> RenderableType:
        """Return the display: a bar with the time left, and the cells at work."""
        self._look()
        header = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=len(self._cells), completed=self._work_done(), width=30)
        failed = sum(phase == "failed" for phase in self._ended.values())
        header.add_row(
            Text(f"{len(self._ended)} of {len(self._cells)} cells"),
            bar,
            Text(self._time_left()),
            Text(f"{failed} failed", style="red") if failed else Text(""),
        )
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("task")
        table.add_column("strategy")
        for name in ("seed", "labels", "accuracy"):
            table.add_column(name, justify="right")
        running = [
            cell for cell in self._cells if cell.key in self._rows and cell.key not in self._ended
        ]
        for cell in running[:SHOWN_CELLS]:
            row = self._rows[cell.key]
            table.add_row(
                Text(cell.task.name),
                Text(cell.label),
                str(cell.seed),
                f"{row.labels}/{cell.task.budget_cap}",
                f"{row.accuracy:.1%}",
            )
        return Group(header, table)

    def _look(self) -> None:
        """Read the store again, but not the cells that have ended."""
        for cell in self._cells:
            if cell.key in self._ended:
                continue
            phase = self._store.phase(cell)
            if isinstance(phase, Corrupt) or phase == "new":
                continue
            try:
                rows = self._store.folder(cell).rows()
            except (StoreError, OSError):
                continue  # read in the middle of a change; the next look sees it whole
            if rows:
                self._rows[cell.key] = rows[-1]
            # A failed cell counts as ended only once this run has had a try at it.
            if phase == "done" or (phase == "failed" and hasattr(self, "_told")):
                self._ended[cell.key] = phase

    def _state(self, cell: CellSpec) -> str:
        if self._ended[cell.key] == "failed":
            return f"failed: {self._store.folder(cell).status()['reason']}"
        return f"{self._rows[cell.key].accuracy:.1%} at {self._rows[cell.key].labels} labels"

    def _work_done(self) -> float:
        """Return finished cells, and running ones by the labels they have been trained on."""
        done = float(len(self._ended))
        for cell in self._cells:
            if cell.key not in self._ended and cell.key in self._rows:
                counts = [*cell.task.label_grid, cell.task.budget_cap + cell.task.query_labels]
                reached = self._rows[cell.key].labels
                done += sum(count for count in counts if count <= reached) / sum(counts)
        return done

    def _time_left(self) -> str:
        elapsed = time.monotonic() - self._started
        gained = self._work_done() - self._work_before
        if gained <= 0 or elapsed < 3:
            return "starting workers"
        left = elapsed * (len(self._cells) - self._work_done()) / gained
        return f"about {timedelta(seconds=round(left))} left"
