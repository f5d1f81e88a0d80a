"""What a report is made from: the runs that were asked for, and what the finished ones hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from fal_bench.external.folder import Import
from fal_bench.report.context import Environment, MissingRun, TaskFacts
from fal_bench.report.external import Elsewhere, curves_from_elsewhere
from fal_bench.sweep.collect import (
    Entrant,
    FinishedRun,
    read_charges,
    read_curves,
    read_entrants,
    read_environments,
)
from fal_bench.task.target import DEFAULT_TARGETS, Target

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evidence:
    """Stored curves and where they come from, before any question is asked of them.

    Attributes:
        suite: name of the suite (or task).
        tasks: the tasks.
        strategies: labels of the strategies, in the order they were asked for.
        seeds: the seeds.
        missing: runs without a finished curve.
        command: the command line that leads to these runs, without the question.
        curves: one row a run and cycle.
        charges: labels read, one row a run, purpose and cycle.
        environments: where the runs were computed.
        entrants: the strategies of the finished runs.
        elsewhere: external curves of the same tasks.
        targets: the target accuracies, if the user names none.
        computed: the days on which the first and the last run were finished, in UTC.
    """

    suite: str
    tasks: tuple[TaskFacts, ...]
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    missing: tuple[MissingRun, ...]
    command: str
    curves: pd.DataFrame
    charges: pd.DataFrame
    environments: tuple[Environment, ...]
    entrants: tuple[Entrant, ...]
    elsewhere: Elsewhere
    targets: tuple[Target, ...] = DEFAULT_TARGETS
    computed: tuple[date, date] | None = None

    @classmethod
    def read(
        cls,
        runs: Sequence[FinishedRun],
        *,
        suite: str,
        tasks: Sequence[TaskFacts],
        strategies: Sequence[str],
        seeds: Sequence[int],
        missing: Sequence[MissingRun],
        command: str,
        imports: Sequence[Import] = (),
        targets: tuple[Target, ...] = DEFAULT_TARGETS,
    ) -> Evidence:
        """Read the finished runs, and pick those external curves that are of the same tasks.

        The other arguments are the attributes of that name.
        """
        ended = [run.folder.ended().date() for run in runs]
        return cls(
            suite,
            tuple(tasks),
            tuple(strategies),
            tuple(seeds),
            tuple(missing),
            command,
            read_curves(runs),
            read_charges(runs),
            tuple(
                Environment(count, tuple(sorted(facts.items())))
                for count, facts in read_environments(runs)
            ),
            tuple(read_entrants(runs)),
            curves_from_elsewhere(imports, tasks, seeds),
            targets,
            (min(ended), max(ended)) if ended else None,
        )
