"""What a report knows besides the curves: the tasks, the question asked, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Literal

from fal_bench.results.model import Environment, ImportOrigin, MissingRun
from fal_bench.task import Task
from fal_bench.task.target import ACCURACY

Accounting = Literal["strict", "paper", "cost"]
"""What ranks a board: all labels read, those that papers count, or what all labels read cost."""


@dataclass(frozen=True)
class TaskFacts:
    """What the report needs to know of one task.

    Attributes:
        name: the task's name, as in the ``task`` column of the curves.
        grid: the label grid b_0 < ... <= cap, in paper labels over all clients.
        query_labels: step of the grid; the resolution of every budget.
        pool: samples in the query pool over all clients, initial labels included.
        description: one line for people: data, clients, partition.
        rounds: rounds of federated averaging in a cycle.
        hash: the task's hash, by which external curves are recognised; empty if unknown.
        cycle_limit: cycles after which an under-spending run ends; 0 if unknown.
        priced: whether labels cost something else than 1 at some clients.
        dataset: the data set, as it is selected; empty if unknown.
        model: the kind of model; empty if unknown.
    """

    name: str
    grid: tuple[int, ...]
    query_labels: int
    pool: int
    description: str
    rounds: int = 1
    hash: str = ""
    cycle_limit: int = 0
    priced: bool = False
    dataset: str = ""
    model: str = ""

    @property
    def cap(self) -> int:
        """The budget cap."""
        return self.grid[-1]


def task_facts(task: Task, pool: int) -> TaskFacts:
    """Return the facts of a task, under its name."""
    return TaskFacts(
        name=task.name,
        grid=task.label_grid,
        query_labels=task.query_labels,
        pool=pool,
        description=task.summary,
        rounds=task.rounds,
        hash=task.hash,
        cycle_limit=task.cycle_limit,
        priced=bool(task.label_cost),
        dataset=str(task.dataset),
        model=task.model.kind,
    )


@dataclass(frozen=True)
class Rung:
    """One target of a ladder.

    Attributes:
        value: the target; the mean over tasks where each has its own.
        name: name of a target that was derived from the curves; empty otherwise.
        by_task: the target of every task, where each has its own.
    """

    value: float
    name: str = ""
    by_task: tuple[tuple[str, float], ...] = ()

    def on(self, task: str) -> Rung:
        """Return the target of one task alone."""
        own = tuple(pair for pair in self.by_task if pair[0] == task)
        return Rung(own[0][1] if own else self.value, self.name, own)


@dataclass(frozen=True)
class External:
    """A strategy whose curves were measured elsewhere.

    Attributes:
        strategy: what it is called.
        origin: the import that its curves came with.
        runs: its runs that take part, as (task, seed).
        strict_known: whether its strict labels are known.
        priced: whether labels of its tasks have prices, which its file does not know.
        obstacle: why it cannot be ranked, as the end of a sentence; empty if it can.
        paired: whether its runs pair with those measured here: its file has the baseline, too,
            with the curves measured here, bit for bit.
    """

    strategy: str
    origin: ImportOrigin
    runs: frozenset[tuple[str, int]]
    strict_known: bool
    priced: bool
    obstacle: str
    paired: bool = False

    def unranked(self, accounting: Accounting) -> str:
        """Say why it is not ranked under an accounting; empty if it is."""
        if self.obstacle or accounting == "paper":
            return self.obstacle
        if self.priced and accounting == "cost":
            return (
                "its file does not say what labels cost; --accounting strict or paper may rank it"
            )
        if self.strict_known:
            return ""
        return (
            "its file does not say how many labels were read for any purpose (labels_strict); "
            "--accounting paper ranks it"
        )


@dataclass(frozen=True)
class Entrant:
    """What the runs say of a strategy beside its curves.

    Attributes:
        strategy: what tables call it.
        plugin: the name of its plugin.
        parameters: its parameters that are not at their default, by name, as they were written.
        fingerprint: what identifies its code: "version 2" of a built-in one, else a digest.
    """

    strategy: str
    plugin: str
    parameters: tuple[tuple[str, str], ...]
    fingerprint: str

    @property
    def built_in(self) -> bool:
        """Whether it is one of falbench's own, which alone declare versions."""
        return self.fingerprint.startswith("version ")


@dataclass(frozen=True)
class Stop:
    """Where a run of a strategy that stops before the cap ended, or would have.

    Attributes:
        task: the task.
        strategy: the strategy.
        early: whether this run stopped before the cap.
        labels: paper labels of each client then.
        metrics: names and values of the metrics of the paper's tables that were recorded.
    """

    task: str
    strategy: str
    early: bool
    labels: tuple[int, ...]
    metrics: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ReportContext:
    """The question that a leaderboard answers, and its provenance.

    Attributes:
        suite: name of the suite (or task) that was compared.
        target: the target, of an accuracy in (0, 1]; the mean over tasks where each has its own.
        accounting: which labels rank the board.
        baseline: the strategy that savings refer to.
        strategies: all strategies compared.
        seeds: the seeds compared.
        tasks: the tasks compared.
        missing: runs without a finished curve.
        command: the command line that reproduces the report.
        version: version of falbench.
        target_name: name of a target that was derived from the curves; empty otherwise.
        task_targets: the target of every task, where each has its own.
        environments: where the runs were computed, the most frequent one first.
        trainers: the trainer of every strategy with a finished run, as a selector.
        references: yardsticks among the strategies, which are shown apart and never ranked.
        externals: strategies measured elsewhere, which are not among ``strategies``.
        computed: the days on which the first and the last run were finished, in UTC.
        metric: the metric that must reach the target.
        higher_is_better: whether it reaches it from below.
        ladder: the targets over which savings are averaged, of which ``target`` is the middle one;
            empty for the target alone.
        wider: the targets of a second saving, beside that of a single target.
        unrecorded: the finished runs, as (task, strategy, seed), that lack the metric; they are
            among ``missing``, too, which says why.
        undertrained: tasks and strategies whose global model does not learn its labels, with its
            lowest mean training accuracy over the seeds.
        stops: where runs of strategies that leave budget for good stopped.
        entrants: what the runs say of the strategies that have a finished one.

    Tasks are in the order of their names, and seeds in theirs, in whichever they are given.
    """

    suite: str
    target: float
    accounting: Accounting
    baseline: str
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    tasks: tuple[TaskFacts, ...]
    missing: tuple[MissingRun, ...]
    command: str
    version: str
    target_name: str = ""
    task_targets: tuple[tuple[str, float], ...] = ()
    environments: tuple[Environment, ...] = ()
    trainers: tuple[tuple[str, str], ...] = ()
    references: frozenset[str] = frozenset()
    externals: tuple[External, ...] = ()
    computed: tuple[date, date] | None = None
    metric: str = ACCURACY
    higher_is_better: bool = True
    ladder: tuple[Rung, ...] = ()
    wider: tuple[Rung, ...] = ()
    undertrained: tuple[tuple[str, str, float], ...] = ()
    unrecorded: frozenset[tuple[str, str, int]] = frozenset()
    stops: tuple[Stop, ...] = ()
    entrants: tuple[Entrant, ...] = ()

    def __post_init__(self) -> None:
        tasks = sorted(self.tasks, key=lambda facts: facts.name)
        object.__setattr__(self, "tasks", tuple(tasks))
        object.__setattr__(self, "seeds", tuple(sorted(set(self.seeds))))

    @property
    def spent(self) -> str:
        """What budgets are of, in a word: "labels", or "cost"."""
        return "cost" if self.accounting == "cost" else "labels"

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The targets over which savings are averaged: one, or a ladder."""
        return self.ladder or (Rung(self.target, self.target_name, self.task_targets),)

    def at(self, rung: Rung) -> ReportContext:
        """Return the question of one target of a ladder."""
        return replace(
            self,
            target=rung.value,
            target_name=rung.name,
            task_targets=rung.by_task,
            ladder=(),
            wider=(),
        )

    def on(self, task: str) -> ReportContext:
        """Return the same question of one task alone."""
        rung = Rung(self.target, self.target_name, self.task_targets).on(task)
        return replace(
            self,
            tasks=tuple(facts for facts in self.tasks if facts.name == task),
            target=rung.value,
            task_targets=rung.by_task,
            ladder=tuple(one.on(task) for one in self.ladder),
            wider=tuple(one.on(task) for one in self.wider),
            missing=tuple(one for one in self.missing if one.task == task),
            unrecorded=frozenset(key for key in self.unrecorded if key[0] == task),
            undertrained=tuple(one for one in self.undertrained if one[0] == task),
            stops=tuple(one for one in self.stops if one.task == task),
        )

    @cached_property
    def own(self) -> frozenset[str]:
        """The strategies measured here that are not built into falbench."""
        return frozenset(one.strategy for one in self.entrants if not one.built_in)

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks, in order."""
        return [facts.name for facts in self.tasks]

    @property
    def sign(self) -> int:
        """The sign under which more of the metric is better."""
        return 1 if self.higher_is_better else -1

    @property
    def shown(self) -> tuple[str, ...]:
        """All strategies that have a row: those compared, and external ones."""
        return (*self.strategies, *(one.strategy for one in self.externals))

    def external(self, strategy: str) -> External | None:
        """Return what is known of an external strategy; None if it is not one."""
        return next((one for one in self.externals if one.strategy == strategy), None)

    def paired(self, strategy: str) -> bool:
        """Tell whether a strategy's runs pair with the baseline's: its own ones always do."""
        external = self.external(strategy)
        return external is None or (external.paired and not external.unranked(self.accounting))

    def seeds_of(self, strategy: str, task: str) -> tuple[int, ...]:
        """Return the seeds that a strategy must have on a task, in order."""
        external = self.external(strategy)
        if external is None:
            return self.seeds
        return tuple(sorted(seed for name, seed in external.runs if name == task))

    def target_on(self, task: str) -> float:
        """Return the target of a task."""
        return dict(self.task_targets).get(task, self.target)
