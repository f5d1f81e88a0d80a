"""The stored cells that take part in a report, and those that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fal_bench.external.folder import Import
from fal_bench.report.context import MissingCell, task_facts
from fal_bench.report.evidence import Evidence
from fal_bench.sweep.collect import FinishedCell
from fal_bench.sweep.inventory import StoredCell
from fal_bench.task import Task
from fal_bench.task.suite import Suite
from fal_bench.task.target import DEFAULT_TARGETS, Target


@dataclass(frozen=True)
class ShownCell:
    """A stored cell under the names that a report shows.

    Attributes:
        stored: the cell.
        task: the task's name.
        strategy: the strategy's label.
    """

    stored: StoredCell
    task: str
    strategy: str

    @property
    def seed(self) -> int:
        """The seed."""
        return self.stored.seed

    @property
    def finished(self) -> FinishedCell:
        """The cell as reports read it, if it is done."""
        cell = self.stored
        return FinishedCell(
            self.task, self.strategy, cell.seed, cell.folder, cell.task.hash, cell.reference
        )


@dataclass(frozen=True)
class Selection:
    """The stored cells that take part in a report.

    Attributes:
        suite: name of the suite (or task).
        source: the suite that the tasks' names come from; None if no suite has all of them.
        tasks: the tasks, under their names.
        seeds: the seeds.
        cells: the cells, finished or not.
        problems: a sentence for each cell of the folder that cannot be read.
    """

    suite: str
    source: Suite | None
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]
    cells: tuple[ShownCell, ...]
    problems: tuple[str, ...]

    @property
    def strategies(self) -> tuple[str, ...]:
        """Labels of the strategies, sorted."""
        return tuple(sorted({cell.strategy for cell in self.cells}))

    @property
    def targets(self) -> tuple[Target, ...]:
        """The target accuracies of a report for which the user names none."""
        return (self.source and self.source.targets) or DEFAULT_TARGETS

    @property
    def missing(self) -> list[MissingCell]:
        """Cells of the comparison without a finished curve, and why."""
        shown = {(cell.task, cell.strategy, cell.seed): cell.stored for cell in self.cells}
        missing = []
        for task in self.tasks:
            for strategy in self.strategies:
                for seed in self.seeds:
                    cell = shown.get((task.name, strategy, seed))
                    if cell is None or cell.phase != "done":
                        missing.append(MissingCell(task.name, strategy, seed, _why(cell)))
        return missing

    def evidence(self, command: str, imports: Sequence[Import] = ()) -> Evidence:
        """Read the finished cells.

        Args:
            command: the command line that leads to these cells.
            imports: external curves, of which those of the same tasks are shown.
        """
        finished = [cell.finished for cell in self.cells if cell.stored.phase == "done"]
        pools = {cell.task: cell.folder.pool() for cell in finished}
        return Evidence.read(
            finished,
            suite=self.suite,
            tasks=[task_facts(task, pools.get(task.name, 0)) for task in self.tasks],
            strategies=self.strategies,
            seeds=self.seeds,
            missing=self.missing,
            command=command,
            imports=imports,
            targets=self.targets,
        )


def _why(cell: StoredCell | None) -> str:
    """Say why a cell has no finished curve."""
    if cell is None:
        return "not among the stored cells"
    if cell.phase == "failed":
        return str(cell.folder.status()["reason"])
    return "not run to its end yet"
