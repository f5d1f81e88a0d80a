"""The boards of published results, worked out again as docs/statistics.md says.

Nothing here uses falbench's own statistics: it is written from the page alone, so that page and
code can only differ where this module fails.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, exp, inf, isinf, log10, nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import fal_bench
from fal_bench.task import Task

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MIDDLE = 3
FEWEST_TASKS = 6
FEWEST_SEEDS = 5
ZERO = 1e-12
"""What is smaller is the rounding of equal numbers."""
SIGN_PATTERNS = 10_000
COUNTINGS = {"paper": "labels", "strict": "labels_strict"}


@dataclass(frozen=True)
class Crossing:
    """Where a curve reaches a target: its labels under each accounting, and of the model."""

    reached: bool
    labels: dict[str, float]
    step: dict[str, float]


@dataclass(frozen=True)
class Read:
    """The models of one run that looks read, in paper labels, strict labels and the metric."""

    cap: int
    paper: list[float]
    strict: list[float]
    values: list[float]

    @classmethod
    def at_looks(cls, rows: pd.DataFrame, task: Task, metric: str) -> Read:
        """Read the last model with at most the labels of each look, each model once."""
        query = task.clients * task.query_size
        before = np.arange(task.clients * task.initial_labels, task.budget_cap, query)
        looks = [*before, task.budget_cap, task.budget_cap + query]
        rows = rows.sort_values("cycle")
        places = [int(np.flatnonzero(rows["labels"].to_numpy() <= look)[-1]) for look in looks]
        seen = rows.iloc[sorted(set(places))]
        columns = [seen[name].tolist() for name in ("labels", "labels_strict", metric)]
        return cls(task.budget_cap, *columns)

    def crossing(self, target: float, higher: bool) -> Crossing:
        """Return the first model within the cap that has the target, as the next one has."""
        sign = 1 if higher else -1
        there = [sign * one >= sign * target for one in self.values]
        counts = {"paper": self.paper, "strict": self.strict}
        for place in range(len(there) - 1):
            if self.paper[place] <= self.cap and there[place] and there[place + 1]:
                break
        else:
            last = max(place for place, one in enumerate(self.paper) if one <= self.cap)
            beyond = self.strict[last] - self.paper[last]
            capped = {"paper": float(self.cap), "strict": self.cap + beyond}
            return Crossing(False, capped, capped)
        step = {name: own[place] for name, own in counts.items()}
        if place == 0:
            return Crossing(True, step, step)
        before, here = self.values[place - 1 : place + 1]
        part = (target - before) / (here - before)
        line = {
            n: own[place - 1] + part * (own[place] - own[place - 1]) for n, own in counts.items()
        }
        return Crossing(True, line, step)

    @property
    def at_cap(self) -> float:
        """The metric at the cap, on the straight line between the models around it."""
        if self.paper[-1] < self.cap:
            return nan
        return float(np.interp(self.cap, self.paper, self.values))

    @property
    def area(self) -> float:
        """The mean of the metric from the first labels to the cap."""
        inside = [place for place, one in enumerate(self.paper) if one < self.cap]
        labels = np.array([*(self.paper[place] for place in inside), self.cap])
        values = np.array([*(self.values[place] for place in inside), self.at_cap])
        heights = (values[1:] + values[:-1]) / 2
        return float(np.sum(heights * np.diff(labels))) / (self.cap - self.paper[0])


@dataclass(frozen=True)
class Folder:
    """A folder of published results: its curves, read at their looks."""

    tasks: dict[str, Task]
    pools: dict[str, int]
    seeds: list[int]
    baseline: str
    accounting: str
    references: set[str]
    strategies: list[str]
    runs: dict[tuple[str, str, int], Read]
    higher: bool

    @classmethod
    def load(
        cls,
        folder: Path,
        metric: str = "accuracy",
        accounting: str | None = None,
        baseline: str | None = None,
    ) -> Folder:
        """Read curves.csv and, for the tasks, provenance.json."""
        said = json.loads((folder / "provenance.json").read_text())
        curves = pd.read_csv(folder / "curves.csv")
        tasks = {
            one["name"]: Task.model_validate({"name": one["name"], **one["canonical"]})
            for one in said["tasks"]
        }
        runs = {
            (task, strategy, int(seed)): Read.at_looks(rows, tasks[task], metric)
            for (task, strategy, seed), rows in curves.groupby(["task", "strategy", "seed"])
        }
        return cls(
            dict(sorted(tasks.items())),
            {one["name"]: one["pool"] for one in said["tasks"]},
            sorted(said["seeds"]),
            baseline or said["baseline"],
            accounting or said["accounting"],
            {one["strategy"] for one in said["strategies"] if one["reference"]},
            sorted({strategy for _, strategy, _ in runs}),
            runs,
            said["metrics"][metric],
        )

    def ladder(self, task: str) -> list[float]:
        """Return the seven targets of a task: steps of the baseline's way from start to cap."""
        own = [self.runs[task, self.baseline, seed] for seed in self.seeds]
        start, end = np.mean([run.values[0] for run in own]), np.mean([run.at_cap for run in own])
        decimals = max(3, ceil(log10(0.5 / (0.01 * abs(end - start)))))
        return [round(float(start + part * (end - start)), decimals) for part in FRACTIONS]


Crossings = dict[tuple[str, str, int], list[Crossing]]


class Board:
    """Every number of a board of one or more targets, by strategy and column."""

    def __init__(self, folder: Folder, targets: dict[str, list[float]], shown: int) -> None:
        self.folder, self.shown = folder, shown
        self.found: Crossings = {
            run: [read.crossing(one, folder.higher) for one in targets[run[0]]]
            for run, read in folder.runs.items()
        }
        self.logs = {name: self._logs(name) for name in folder.strategies}
        self.target = float(np.mean([own[shown] for own in targets.values()]))

    def _logs(self, strategy: str) -> np.ndarray:
        """Return the mean of ln T over the targets, by task and seed."""
        return np.array(
            [
                [
                    np.mean(
                        [
                            np.log(one.labels[self.folder.accounting])
                            for one in self.found[task, strategy, seed]
                        ]
                    )
                    for seed in self.folder.seeds
                ]
                for task in self.folder.tasks
            ]
        )

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the rows by strategy."""
        savings, ranks = self.savings(), self.ranks()
        return {
            name: {**self._alone(name), **savings[name], **ranks.get(name, {})}
            for name in self.folder.strategies
        }

    # Comparisons

    def censored(self, one: str, other: str, *tasks: str) -> tuple[int, int, int, int]:
        """Count pairs of which only the other, only the one, or neither reached, and all."""
        pairs = [
            (mine.reached, theirs.reached)
            for task in tasks or self.folder.tasks
            for seed in self.folder.seeds
            for mine, theirs in zip(
                self.found[task, one, seed], self.found[task, other, seed], strict=True
            )
        ]
        count = [pairs.count(kind) for kind in ((False, True), (True, False), (False, False))]
        return count[0], count[1], count[2], len(pairs)

    def open_ends(self, one: str, other: str, *tasks: str) -> tuple[bool, bool]:
        """Whether a saving has no lower end, and whether it has no upper end."""
        mine, theirs, both, pairs = self.censored(one, other, *tasks)
        return mine + both > 0.1 * pairs, theirs + both > 0.1 * pairs

    def savings(self) -> dict[str, dict[str, Any]]:
        """Return the one procedure's columns."""
        folder = self.folder
        others = [name for name in folder.strategies if name != folder.baseline]
        d = {name: self.logs[name] - self.logs[folder.baseline] for name in others}
        c = critical([d[name] for name in others if name not in folder.references])
        found = {name: self._saving(name, d[name], c) for name in others}
        return {folder.baseline: {"saving_vs_random": 0.0, "verdict": "baseline"}, **found}

    def _saving(self, name: str, d: np.ndarray, c: float) -> dict[str, Any]:
        only, other, both, pairs = self.censored(name, self.folder.baseline)
        row: dict[str, Any] = {
            "pairs_strategy_censored": only,
            "pairs_baseline_censored": other,
            "pairs_both_censored": both,
            "pairs": pairs,
            "verdict": "reference" if name in self.folder.references else "not comparable",
        }
        no_low, no_high = self.open_ends(name, self.folder.baseline)
        if no_low and no_high:
            return row
        mean, error = moments(d)
        mean = mean if error or abs(mean) > ZERO else 0.0
        low = -inf if no_low else 1 - exp(mean + c * error)
        high = inf if no_high else 1 - exp(mean - c * error)
        few = d.shape[1] < FEWEST_SEEDS
        if name not in self.folder.references:
            row["verdict"] = "too few seeds" if few else verdict(low, high)
        row["saving_vs_random"] = 1 - exp(mean)
        if few:
            return row
        ends = [self.open_ends(name, self.folder.baseline, task) for task in self.folder.tasks]
        row["tasks_won"], row["tasks_lost"] = won_and_lost(d, np.array(ends))
        if error > 0:
            row["saving_low"], row["saving_high"] = closed(low), closed(high)
        if len(d) >= FEWEST_TASKS:
            means = d.mean(axis=1)
            half = t_half(means[np.newaxis])[0]
            row["saving_across_low"] = nan if no_low else 1 - exp(means.mean() + half)
            row["saving_across_high"] = nan if no_high else 1 - exp(means.mean() - half)
        return row

    def ranks(self) -> dict[str, dict[str, Any]]:
        """Return ranks and the ranges that the runs leave."""
        names = [one for one in self.folder.strategies if one not in self.folder.references]
        reached = {
            name: any(
                one.reached for run, own in self.found.items() if run[1] == name for one in own
            )
            for name in names
        }

        def order(name: str) -> tuple[bool, float, float]:
            final = self._mean(name, lambda run: run.at_cap)
            final = -final if self.folder.higher else final
            labels = round(float(self.logs[name].mean()), 9)  # equal but for rounding
            return not reached[name], labels, 0 if reached[name] else final

        places = sorted(map(order, names))
        rank = {name: 1 + places.index(order(name)) for name in names}
        pairs = list(itertools.combinations(names, 2))
        d = {pair: self.logs[pair[0]] - self.logs[pair[1]] for pair in pairs}
        c = critical(list(d.values()))
        low, high = dict.fromkeys(names, 1), dict.fromkeys(names, len(names))
        for one, other in pairs:
            mean, error = moments(d[one, other])
            mean = mean if error or abs(mean) > ZERO else 0.0
            no_low, no_high = self.open_ends(one, other)
            if mean + c * error < 0 and not no_low:
                low[other], high[one] = low[other] + 1, high[one] - 1
            if mean - c * error > 0 and not no_high:
                low[one], high[other] = low[one] + 1, high[other] - 1
        if len(self.folder.seeds) < FEWEST_SEEDS:
            return {name: {"rank": rank[name]} for name in names}
        return {
            name: {
                "rank": rank[name],
                "rank_low": min(low[name], rank[name]),
                "rank_high": max(high[name], rank[name]),
            }
            for name in names
        }

    # A row alone

    def _mean(self, name: str, of: Callable[[Read], float]) -> float:
        """Return the mean over tasks of the mean over seeds."""
        folder = self.folder
        own = [
            [of(folder.runs[task, name, seed]) for seed in folder.seeds] for task in folder.tasks
        ]
        return float(np.mean(own))

    def _alone(self, name: str) -> dict[str, Any]:
        """Return the columns that compare nothing."""
        folder, accounting = self.folder, self.folder.accounting
        own = {
            task: [self.found[task, name, seed][self.shown] for seed in folder.seeds]
            for task in folder.tasks
        }
        runs = sum(map(len, own.values()))
        reached = sum(one.reached for found in own.values() for one in found)
        exact, step = [
            [restricted([one.reached for one in f], [getattr(one, part)[accounting] for one in f])
             for f in own.values()]
            for part in ("labels", "step")
        ]  # fmt: skip
        by = {
            kind: float(np.mean([
                restricted([one.reached for one in f], [one.labels[kind] for one in f])[0]
                for f in own.values()
            ]))
            for kind in COUNTINGS
        }  # fmt: skip
        enough = len(folder.seeds) >= 3 and reached >= max(3, runs / 2)
        low, high = t_interval(exact, len(folder.seeds)) if enough else (nan, nan)
        low = max(low, np.mean([one.clients * one.initial_labels for one in folder.tasks.values()]))
        ert, median, whole = [], [], True
        for found in own.values():
            labels = [one.labels[accounting] for one in found]
            hits = sum(one.reached for one in found)
            ert.append(sum(labels) / hits if hits else inf)
            middle = float(np.median([t if one.reached else inf
                                      for one, t in zip(found, labels, strict=True)]))  # fmt: skip
            if isinf(middle):
                whole = False
                middle = float(np.median([one.labels[accounting] for one in found
                                          if not one.reached]))  # fmt: skip
            median.append(middle)
        ert_low, ert_high = bootstrapped_ert([*own.values()], accounting)
        wilson = stats.binomtest(reached, runs).proportion_ci(method="wilson")
        return {
            "tasks": len(folder.tasks),
            "runs": runs,
            "reached": reached,
            "reached_low": wilson.low,
            "reached_high": wilson.high,
            "target": self.target,
            "labels": float(np.mean([mean for mean, _ in exact])),
            "labels_low": low,
            "labels_high": high,
            "labels_step": float(np.mean([mean for mean, _ in step])),
            "labels_paper": by["paper"],
            "labels_strict": by["strict"],
            "budget_pct": float(np.mean([
                100 * np.mean([one.labels["paper"] for one in found]) / folder.pools[task]
                for task, found in own.items()
            ])),
            "accuracy_final": self._mean(name, lambda run: run.at_cap),
            "aulc": self._mean(name, lambda run: run.area),
            "ert": float(np.mean(ert)),
            "ert_low": ert_low,
            "ert_high": ert_high,
            "median": float(np.mean(median)),
            "median_reached": whole,
        }  # fmt: skip


def bootstrapped_ert(tasks: list[list[Any]], accounting: str) -> tuple[float, float]:
    """Return the percentile interval of the ERT, if every task has 20 runs."""
    if min(map(len, tasks)) < 20:
        return nan, nan
    rng, means = np.random.default_rng(1), np.zeros(5000)
    for found in tasks:
        labels = np.array([one.labels[accounting] for one in found])
        reached = np.array([one.reached for one in found])
        if not reached.any():
            return nan, nan
        drawn = rng.integers(len(found), size=(means.size, len(found)))
        with np.errstate(divide="ignore"):
            means += labels[drawn].sum(axis=1) / reached[drawn].sum(axis=1) / len(tasks)
    low, high = np.quantile(means, [0.025, 0.975])
    return (low, high) if low < high else (nan, nan)


def moments(d: np.ndarray) -> tuple[float, float]:
    """Return mean and standard error of log ratios, (tasks, seeds)."""
    tasks, seeds = d.shape
    error = sqrt(float(d.var(axis=1, ddof=1).sum()) / seeds) / tasks
    return float(d.mean()), error if error > ZERO else 0.0


def critical(several: list[np.ndarray]) -> float:
    """Return the 95 % quantile of the largest |mean / standard error| over random signs."""
    several = [own for own in several if moments(own)[1] > 0]
    if not several:
        return 0.0
    d = np.stack(several)  # (comparisons, tasks, seeds)
    _, tasks, seeds = d.shape
    pairs = tasks * seeds
    if 2**pairs <= SIGN_PATTERNS:
        signs = np.array(list(itertools.product([1, -1], repeat=pairs)))
    else:
        drawn = np.random.Generator(np.random.Philox(key=0))
        signs = 1 - 2 * drawn.integers(0, 2, size=(SIGN_PATTERNS, pairs), dtype=np.int8)
    signs = signs.reshape(-1, tasks, seeds).astype(float)
    d = d - d.mean(axis=2, keepdims=True)
    squares = (d**2).sum(axis=(1, 2))  # signs do not change it
    total = lost = np.zeros((len(signs), len(d)))
    for task in range(tasks):
        means = signs[:, task] @ d[:, task].T / seeds
        total, lost = total + means, lost + seeds * means**2
    left = np.where(squares - lost > ZERO * squares, squares - lost, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(total) / np.sqrt(left / (seeds - 1) / seeds)
    largest = np.nanmax(ratios, axis=1)
    return float(np.sort(largest)[ceil(0.95 * (len(largest) - 1))])


def verdict(low: float, high: float) -> str:
    """Return what an interval of a saving says."""
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse"
    return "equal" if low >= -0.05 and high <= 0.05 else "no evidence"


def closed(end: float) -> float:
    """Return an end of an interval; NaN if it is open."""
    return nan if isinf(end) else end


def t_half(d: np.ndarray) -> np.ndarray:
    """Return half the 95 % t interval of the mean of each row."""
    n = d.shape[1]
    return stats.t.ppf(0.975, n - 1) * d.std(axis=1, ddof=1) / sqrt(n)


def won_and_lost(d: np.ndarray, ends: np.ndarray) -> tuple[int, int]:
    """Count the tasks whose own t interval of the mean excludes 0, below and above.

    Args:
        d: log ratios, (tasks, seeds).
        ends: whether the saving has no lower and no upper end on each task.
    """
    means, half = d.mean(axis=1), t_half(d)
    no_low, no_high = ends.T
    return int(((means + half < 0) & ~no_low).sum()), int(((means - half > 0) & ~no_high).sum())


def restricted(reached: list[bool], labels: list[float]) -> tuple[float, float]:
    """Return the area under the Kaplan-Meier curve up to the largest count, and its variance."""
    n, end = len(labels), max(labels)
    area, alive, last, terms = 0.0, 1.0, 0.0, []
    for at in sorted(set(labels)):
        area += alive * (at - last)
        last = at
        risk = sum(one >= at for one in labels)
        events = sum(hit and one == at for hit, one in zip(reached, labels, strict=True))
        alive *= 1 - events / risk
        terms.append((area, events, risk))
    assert last == end
    variance = sum(
        (area - upto) ** 2 * events / (risk * (risk - events))
        for upto, events, risk in terms
        if events and risk > events
    )
    return area, variance * n / (n - 1)


def t_interval(tasks: list[tuple[float, float]], seeds: int) -> tuple[float, float]:
    """Return the interval of a mean over tasks, with Welch-Satterthwaite degrees of freedom."""
    variances = np.array([variance for _, variance in tasks])
    if not variances.any():
        return nan, nan
    freedom = variances.sum() ** 2 / (variances**2 / (seeds - 1)).sum()
    half = stats.t.ppf(0.975, freedom) * sqrt(variances.sum()) / len(tasks)
    mean = float(np.mean([mean for mean, _ in tasks]))
    return mean - half, mean + half


ALONE = {"saving_vs_random": "saving_ladder", "saving_low": "saving_ladder_low",
         "saving_high": "saving_ladder_high"}  # fmt: skip
"""Columns of a board of one target that are those of a ladder."""

DRAWN = {"ert_low": 1 / 20, "ert_high": 1 / 20}
"""Columns that come from random draws, which the page does not fix, and how far they may be off.

The draws fall into heaps by how many of 20 runs failed, so an end may be one run off.
"""

WORDS = {"accounting", "trainer", "source", "target_name", "target_acc", "metric"}
"""Columns that say what was asked; they are not worked out."""


def boards(folder: Folder, targets: tuple[float, ...]) -> list[dict[str, dict[str, Any]]]:
    """Return the rows of every board: one a target, or one of the default ladder."""
    ladder = {task: folder.ladder(task) for task in folder.tasks}
    if not targets:
        return [Board(folder, ladder, MIDDLE).rows()]
    asked = {task: list(targets) for task in folder.tasks} if len(targets) > 1 else ladder
    savings = Board(folder, asked, 0).savings()
    found = []
    for target in targets:
        rows = Board(folder, {task: [target] for task in folder.tasks}, 0).rows()
        for name, row in rows.items():
            row.update({new: savings[name].get(old, nan) for old, new in ALONE.items()})
        found.append(rows)
    return found


def differences(shown: pd.DataFrame, rows: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Return, by column, the strategies whose number differs, with both numbers."""
    assert set(shown["strategy"]) == set(rows)
    found: dict[str, list[Any]] = {}
    for own in shown.to_dict("records"):
        derived = rows[own["strategy"]]
        for column in set(own) - WORDS - {"strategy"}:
            here, there = own[column], derived.get(column, nan)
            if not same(here, there, rtol=DRAWN.get(column, 1e-9)):
                found.setdefault(column, []).append((own["strategy"], here, there))
    return found


def same(one: Any, other: Any, rtol: float = 1e-9) -> bool:
    """Whether two fields are the same word, the same number up to ``rtol``, or both empty."""
    if isinstance(one, str) or isinstance(other, str):
        return bool(one == other)
    numbers = [nan if pd.isna(field) else float(field) for field in (one, other)]
    return bool(np.isclose(*numbers, rtol=rtol, atol=1e-12, equal_nan=True))


@pytest.mark.parametrize("name", sorted(one.name for one in PUBLISHED.glob("*/")))
def test_published_board_follows_from_the_page(name: str) -> None:
    folder = Folder.load(PUBLISHED / name)
    shown = pd.read_csv(PUBLISHED / name / "leaderboard.csv")
    (rows,) = boards(folder, ())
    assert differences(shown, rows) == {}


@pytest.mark.parametrize(
    ("name", "accounting", "baseline", "metric", "targets"),
    [
        ("cifar10-jpegq75", "paper", "fal-margin", "accuracy", (0.3, 0.35, 0.4)),
        ("fmnist-cnn4", "strict", "logo", "loss", (1.2,)),
        ("low-budget", "strict", "fed-typiclust", "accuracy", (0.65,)),
    ],
)
def test_another_question_is_answered_as_the_page_says(
    name: str, accounting: str, baseline: str, metric: str, targets: tuple[float, ...]
) -> None:
    asked = [f"{metric}={one}" for one in targets]
    shown = fal_bench.report(
        PUBLISHED / name, target=asked, accounting=accounting, baseline=baseline
    ).leaderboard
    folder = Folder.load(PUBLISHED / name, metric, accounting, baseline)
    for target, rows in zip(targets, boards(folder, targets), strict=True):
        assert differences(shown[shown["target"] == target], rows) == {}
