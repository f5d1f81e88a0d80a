"""The stored runs that take part in a report, and those that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fal_bench.external.folder import Import
from fal_bench.report.context import MissingRun, task_facts
from fal_bench.report.evidence import Evidence
from fal_bench.sweep.collect import FinishedRun
from fal_bench.sweep.inventory import StoredRun
from fal_bench.task import Task
from fal_bench.task.suite import Suite
from fal_bench.task.target import DEFAULT_TARGETS, Target


@dataclass(frozen=True)
class ShownRun:
    """A stored run under the names that a report shows.

    Attributes:
        stored: the run.
        task: the task's name.
        strategy: the strategy's label.
    """

    stored: StoredRun
    task: str
    strategy: str

    @property
    def seed(self) -> int:
        """The seed."""
        return self.stored.seed

    @property
    def finished(self) -> FinishedRun:
        """The run as reports read it, if it is done."""
        run = self.stored
        return FinishedRun(
            self.task, self.strategy, run.seed, run.folder, run.task.hash, run.reference
        )


@dataclass(frozen=True)
class Selection:
    """The stored runs that take part in a report.

    Attributes:
        suite: name of the suite (or task).
        source: the suite that the tasks' names come from; None if no suite has all of them.
        tasks: the tasks, under their names.
        seeds: the seeds.
        runs: the runs, finished or not.
        problems: a sentence for each run of the folder that cannot be read.
    """

    suite: str
    source: Suite | None
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]
    runs: tuple[ShownRun, ...]
    problems: tuple[str, ...]

    @property
    def strategies(self) -> tuple[str, ...]:
        """Labels of the strategies, sorted."""
        return tuple(sorted({run.strategy for run in self.runs}))

    @property
    def targets(self) -> tuple[Target, ...]:
        """The target accuracies of a report for which the user names none."""
        return (self.source and self.source.targets) or DEFAULT_TARGETS

    @property
    def missing(self) -> list[MissingRun]:
        """Runs of the comparison without a finished curve, and why."""
        shown = {(run.task, run.strategy, run.seed): run.stored for run in self.runs}
        missing = []
        for task in self.tasks:
            for strategy in self.strategies:
                for seed in self.seeds:
                    run = shown.get((task.name, strategy, seed))
                    if run is None or run.phase != "done":
                        missing.append(MissingRun(task.name, strategy, seed, _why(run)))
        return missing

    def evidence(self, command: str, imports: Sequence[Import] = ()) -> Evidence:
        """Read the finished runs.

        Args:
            command: the command line that leads to these runs.
            imports: external curves, of which those of the same tasks are shown.
        """
        finished = [run.finished for run in self.runs if run.stored.phase == "done"]
        pools = {run.task: run.folder.pool() for run in finished}
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


def _why(run: StoredRun | None) -> str:
    """Say why a run has no finished curve."""
    if run is None:
        return "not among the stored runs"
    if run.phase == "failed":
        return str(run.folder.status()["reason"])
    return "not run to its end yet"
