"""From stored curves to one budget to target a run."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fal_bench.federation.journal import LABELS_COST
from fal_bench.reporting.context import Accounting, ReportContext, Stop, TaskFacts
from fal_bench.stats import (
    Budget,
    Crossing,
    area_under_curve,
    curve_at,
    find_crossings,
    models_read,
)

RunKey = tuple[str, str, int]
"""Task, strategy and seed of a run."""
LEAST_TRAINED = 0.95
"""Training accuracy below which part of a difference may be speed of learning."""
TRAIN_ACCURACY = "train_accuracy"
AT_STOP = ("accuracy", "precision")
"""Metrics that are reported where a strategy stops, as in FedRAL's tables."""
_IDENTITY = ["task", "strategy", "seed"]
_NUMBERS = ["cycle", "labels", "labels_strict"]


@dataclass(frozen=True)
class RunBudget:
    """What the leaderboard needs of one finished (task, strategy, seed) run.

    Attributes:
        interpolated: interpolated budget to target under each accounting that is known.
        step: labels of the first confirmed model under the same.
        accuracy_at_cap: the metric at the budget cap; NaN if the run ended before it.
        area: area under the label curve up to the cap; NaN if the run ended before it.
        cycle: the cycle whose model is read at the crossing, or at the cap without one.
    """

    interpolated: Mapping[Accounting, Budget]
    step: Mapping[Accounting, Budget]
    accuracy_at_cap: float
    area: float
    cycle: int


@dataclass(frozen=True)
class Reading:
    """A finished run, read at the looks of its task; any target can be found in it.

    Each model that a look reads stands here once, with what it has cost.

    Attributes:
        values: the metric of each model, shape (n_models,).
        axes: labels of each model under each accounting, likewise; strict ones are left out where
            an external curve does not give them.
        cycles: cycle of each model, likewise.
        within: how many of the models are within the cap; the one after them only confirms.
        caps: labels at which a run that does not reach a target is censored, by accounting.
        span: the initial labels and the cap.
        sign: 1 if the metric reaches a target from below, -1 from above.
    """

    values: NDArray[np.float64]
    axes: Mapping[Accounting, NDArray[np.float64]]
    cycles: NDArray[np.int64]
    within: int
    caps: Mapping[Accounting, float]
    span: tuple[int, int]
    sign: int
    _known: dict[float, Crossing] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _budgets: dict[float, RunBudget] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def digest(self) -> bytes:
        """The numbers that make the run, as bytes that are equal only if they are."""
        axes = [self.axes[name] for name in sorted(self.axes)]
        return b"".join(np.ascontiguousarray(one).tobytes() for one in (self.values, *axes))

    @cached_property
    def accuracy_at_cap(self) -> float:
        """The metric at the budget cap; NaN if the run ended before it."""
        return float(self.at([self.span[1]])[0])

    @cached_property
    def area(self) -> float:
        """Area under the label curve up to the cap; NaN if the run ended before it."""
        return area_under_curve(self.axes["paper"], self.values, *self.span)

    def at(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return the metric between models, at points in paper labels; NaN outside of them."""
        return curve_at(self.axes["paper"], self.values, points)

    def labels_at(self, points: ArrayLike, accounting: Accounting) -> NDArray[np.float64]:
        """Return labels under an accounting, at points in paper labels; NaN outside of them."""
        return curve_at(self.axes["paper"], self.axes[accounting], points)

    def budget(self, target: float) -> RunBudget:
        """Return the budget to a target; each is worked out once."""
        if target not in self._budgets:
            self._budgets[target] = self._budget(target)
        return self._budgets[target]

    def _budget(self, target: float) -> RunBudget:
        crossing = self._crossing(target)
        index = self.within - 1 if crossing.index is None else crossing.index
        return RunBudget(
            interpolated={
                name: crossing.interpolated(axis, self.caps[name])
                for name, axis in self.axes.items()
            },
            step={name: crossing.step(axis, self.caps[name]) for name, axis in self.axes.items()},
            accuracy_at_cap=self.accuracy_at_cap,
            area=self.area,
            cycle=int(self.cycles[max(index, 0)]),
        )

    def climb(
        self, targets: ArrayLike, accounting: Accounting
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the interpolated budgets to several targets, and whether they are reached.

        Args:
            targets: the targets, shape (n_targets,).
            accounting: the labels that count.

        Returns:
            Labels and reached, each of shape (n_targets,).
        """
        found = self._crossings([float(one) for one in np.atleast_1d(targets)])
        index = np.array([-1 if one.index is None else one.index for one in found])
        fraction = np.array([one.fraction for one in found])
        axis, reached = self.axes[accounting], index >= 0
        labels = np.full(index.shape, self.caps[accounting])
        after = axis[index[reached]]
        before = np.where(index[reached] > 0, axis[np.maximum(index[reached] - 1, 0)], after)
        labels[reached] = before + fraction[reached] * (after - before)
        return labels, reached

    def shows(self, target: float) -> bool:
        """Tell whether the curve shows where it reaches a target, or that it does not.

        One that begins at the target beyond the initial labels, or ends before the cap without
        having reached it, does not. Curves of runs leave nothing open: they begin at the initial
        labels, and a short one is that of a strategy that under-spent to its last cycle.
        """
        labels, first = self.axes["paper"], self.span[0]
        index = self._crossing(target).index
        if index is not None:
            return index > 0 or bool(labels[0] <= first)
        if not self.within or np.isnan(self.accuracy_at_cap):
            return False
        last = self.sign * self.values[self.within - 1]
        return bool(last < self.sign * target or self.values.size > self.within)

    def _crossing(self, target: float) -> Crossing:
        return self._crossings([float(target)])[0]

    def _crossings(self, targets: Sequence[float]) -> list[Crossing]:
        """Return the crossing of each target; each is found once, whatever counts labels."""
        if new := [one for one in dict.fromkeys(targets) if one not in self._known]:
            wanted = self.sign * np.array(new)
            index, fraction = find_crossings(self.sign * self.values, wanted, within=self.within)
            for target, at, share in zip(new, index.tolist(), fraction.tolist(), strict=True):
                self._known[target] = Crossing(None if at < 0 else at, share)
        return [self._known[one] for one in targets]


def read_runs(
    curves: pd.DataFrame, context: ReportContext, external: pd.DataFrame | None = None
) -> dict[RunKey, Reading]:
    """Read every finished run that the context asks for at the looks of its task.

    Rows of other tasks, strategies and seeds play no part, nor do the rows of runs that the
    context lists as missing: their curves are unfinished, or do not have the metric.

    Args:
        curves: the curves in long form, one row a (task, strategy, seed, cycle), in any order.
        context: the question: tasks, strategies and seeds. Its target plays no part.
        external: the curves of the context's external strategies, all of which take part.

    Returns:
        Runs by (task, strategy, seed), in that order, external ones last.

    Raises:
        ValueError: a curve has a cycle twice, or its label counts make no sense.
    """
    missing = {(run.task, run.strategy, run.seed) for run in context.missing}
    asked = curves[
        curves["task"].isin(context.task_names)
        & curves["strategy"].isin(context.strategies)
        & curves["seed"].isin(context.seeds)
    ]
    runs = dict(_runs_of(asked, context, missing))
    if external is not None:
        runs.update(_runs_of(external, context))
    return runs


def unrecorded_runs(curves: pd.DataFrame, metric: str) -> set[RunKey]:
    """Return the runs whose curves do not have a metric in every cycle."""
    keys = list(zip(*(curves[name].tolist() for name in _IDENTITY), strict=True))
    if metric not in curves:
        return set(keys)
    lacking = curves[metric].isna().tolist()
    return {key for key, one in zip(keys, lacking, strict=True) if one}


def _runs_of(
    curves: pd.DataFrame, context: ReportContext, left_out: Collection[RunKey] = ()
) -> Iterator[tuple[RunKey, Reading]]:
    tasks = {facts.name: facts for facts in context.tasks}
    left_out = {*left_out, *unrecorded_runs(curves, context.metric)}
    if context.metric not in curves:
        return
    ordered = curves.sort_values([*_IDENTITY, "cycle"])
    keys = list(zip(*(ordered[name].tolist() for name in _IDENTITY), strict=True))
    numbers = ordered[[*_NUMBERS, context.metric]].to_numpy(dtype=float)
    numbers = np.column_stack([numbers, _costs(ordered, tasks)])
    start = 0
    for key, rows in itertools.groupby(keys):
        stop = start + sum(1 for _ in rows)
        if key not in left_out:
            yield key, _read_run(key, numbers[start:stop], tasks[key[0]], context.sign)
        start = stop


def _costs(curves: pd.DataFrame, tasks: Mapping[str, TaskFacts]) -> NDArray[np.float64]:
    """Return what the labels of each row cost: one each where the task has no prices."""
    strict = curves["labels_strict"].to_numpy(dtype=float)
    priced = curves["task"].map({name: facts.priced for name, facts in tasks.items()})
    if not priced.any():
        return strict
    if LABELS_COST not in curves:
        return np.where(priced, np.nan, strict)
    return np.where(priced, curves[LABELS_COST].to_numpy(dtype=float), strict)


def undertrained(
    curves: pd.DataFrame, strategies: Collection[str]
) -> tuple[tuple[str, str, float], ...]:
    """Return the tasks and strategies whose models do not learn the labels they are trained with.

    Args:
        curves: the curves in long form.
        strategies: those that are compared.

    Returns:
        Task, strategy and the lowest mean training accuracy over the seeds, where that is below
        ``LEAST_TRAINED`` in some cycle; nothing where it was not recorded.
    """
    if TRAIN_ACCURACY not in curves:
        return ()
    mine = curves[curves["strategy"].isin(strategies)]
    means = mine.groupby(["task", "strategy", "cycle"])[TRAIN_ACCURACY].mean()
    lowest = means.groupby(["task", "strategy"]).min()
    found = lowest[lowest < LEAST_TRAINED].reset_index()
    return tuple(zip(*(found[name].tolist() for name in found), strict=True))


def stops(curves: pd.DataFrame, context: ReportContext) -> tuple[Stop, ...]:
    """Return where the runs of strategies that stop before the cap stopped.

    A run stopped where it bought nothing any more, though labels were left within the cap. Runs of
    the same strategy and task that did not are read at their last model within the cap.

    Args:
        curves: the curves in long form.
        context: tasks and strategies.
    """
    caps = {facts.name: facts.cap for facts in context.tasks}
    mine = curves[curves["strategy"].isin(context.strategies) & curves["task"].isin(caps)]
    if "labels_by_client" not in mine:
        return ()
    cap = mine["task"].map(caps)
    within = mine[mine["labels"] <= cap].sort_values("cycle")
    last = within.groupby(_IDENTITY)["labels"].transform("max")
    # Of equal models of one run the first is the one at which it stopped.
    final = within[within["labels"] == last]
    first = final.drop_duplicates(_IDENTITY)
    rows = final.groupby(_IDENTITY).size().reindex(pd.MultiIndex.from_frame(first[_IDENTITY]))
    first = first.assign(early=(rows.to_numpy() > 1) & (first["labels"] < first["task"].map(caps)))
    some = first.groupby(["task", "strategy"])["early"].transform("any")
    recorded = [name for name in AT_STOP if name in first]
    return tuple(
        Stop(
            row["task"],
            row["strategy"],
            bool(row["early"]),
            tuple(map(int, str(row["labels_by_client"]).split())),
            tuple((name, float(row[name])) for name in recorded),
        )
        for row in first[some].to_dict("records")
    )


def budgets_at(runs: Mapping[RunKey, Reading], context: ReportContext) -> dict[RunKey, RunBudget]:
    """Return the budget of every run to the context's target.

    External runs that do not follow the task's protocol are left out where they do not show it
    (``Reading.shows``).
    """
    doubtful = {one.strategy for one in context.externals if one.obstacle}
    targets = {name: context.target_on(name) for name in context.task_names}
    return {
        key: run.budget(targets[key[0]])
        for key, run in runs.items()
        if key[1] not in doubtful or run.shows(targets[key[0]])
    }


def _read_run(key: RunKey, rows: NDArray[np.float64], facts: TaskFacts, sign: int) -> Reading:
    """Read one run, its rows in order of cycles, under every accounting."""
    cycles, labels, strict, values, cost = rows.T
    if np.any(np.diff(cycles) == 0):
        raise ValueError(f"the curve of {key} has a cycle twice.")
    beyond = strict - labels
    if np.any(beyond < 0):
        raise ValueError("strict labels must be at least the paper labels in every cycle.")
    read = models_read(labels, [*facts.grid, facts.cap + facts.query_labels])
    models = np.unique(read[read >= 0])
    within = int(np.searchsorted(labels[models], facts.cap, side="right"))
    axes: dict[Accounting, NDArray[np.float64]] = {"paper": labels[models]}
    caps: dict[Accounting, float] = {"paper": float(facts.cap)}
    if not np.any(np.isnan(strict)):
        # A censored run has what its last model within the cap read beyond the pool.
        last = max(int(np.searchsorted(labels, facts.cap, side="right")) - 1, 0)
        axes["strict"], caps["strict"] = strict[models], float(facts.cap + beyond[last])
        if not np.any(np.isnan(cost)):
            # What it did not spend of the cap is counted at the mean price of its labels.
            unspent = (facts.cap - labels[last]) * cost[last] / max(strict[last], 1)
            axes["cost"], caps["cost"] = cost[models], float(cost[last] + unspent)
    return Reading(
        values=values[models],
        axes=axes,
        cycles=(cycles[models] if models.size else cycles[:1]).astype(np.int64),
        within=within,
        caps=caps,
        span=(facts.grid[0], facts.cap),
        sign=sign,
    )
