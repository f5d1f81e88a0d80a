"""Measuring what an inspection finds, from the curves of one task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fal_bench.inspection.estimates import (
    LEVEL,
    Mean,
    normal_quantile,
    reliability,
    sd_interval,
    seeds_needed,
    separated,
)
from fal_bench.inspection.facts import (
    Cost,
    Finding,
    Grade,
    HeadRoom,
    MoreTraining,
    Need,
    Noise,
    NotRun,
    Rise,
    Saved,
    SeedsNeeded,
    Separation,
    Smoothness,
    Training,
)
from fal_bench.inspection.looks import BY_ACCURACY, Curve, Doubles, Judged, Looks
from fal_bench.task import Task

RANDOM, USUAL, HINDSIGHT = "random", "fal-margin", "oracle-greedy"
"""The strategies that are run: the control, one that chooses, and the reference."""

FEWEST_SEEDS: Final = 2
"""Seeds without which there is no spread."""

DOUBLED: Final = (RANDOM, USUAL)
"""The strategies that also run with twice the training."""

SAVINGS: Final = (0.05, 0.10, 0.20)
"""Savings whose seeds are counted."""

Curves = Mapping[int, Curve]
"""The finished runs of one strategy, by seed."""


@dataclass(frozen=True)
class Evidence:
    """The finished runs that an inspection of one task has.

    Attributes:
        task: the task.
        runs: by strategy; those of random and fal-margin, and of the reference.
        twice: by strategy, runs with twice the training; of random and fal-margin.
        stored: by strategy, the runs of all ranked strategies that the results folder has.
        seconds: mean seconds of a run, by strategy.
        judged: the metric that the curves have.
    """

    task: Task
    runs: Mapping[str, Curves]
    twice: Mapping[str, Curves]
    stored: Mapping[str, Curves] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    judged: Judged = BY_ACCURACY


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """Return everything that can be said of a task, in the order in which it is read."""
    own, judged = evidence.runs.get(RANDOM, {}), evidence.judged
    if len(own) < FEWEST_SEEDS:
        return (NotRun(RANDOM, False, len(own), FEWEST_SEEDS, judged.metric),)
    task, cap = evidence.task, evidence.task.budget_cap
    random = Looks.shared(list(own.values()), cap)
    rise = rise_of(random, judged)
    more = [doubling(name, evidence, random) for name in DOUBLED]
    cost = Cost(tuple((name, seconds / 60) for name, seconds in evidence.seconds.items()))
    fit = training(random, evidence.twice.get(RANDOM, {}), more[0])
    if rise.grade == "fault":  # shares of nothing, and a target in the middle of it
        return (cost, rise, fit)
    return (
        cost,
        rise,
        fit,
        *more,
        smoothness(random),
        noise(random, task.evaluation_rounds, judged),
        head_room(evidence, random.middle),
        seeds(own, evidence.runs.get(USUAL, {}), random.middle, cap, evidence.seconds),
        separation(evidence.stored, tuple(own), random.middle, cap),
    )


def rise_of(random: Looks, judged: Judged = BY_ACCURACY) -> Rise:
    """Measure random's rise."""
    change = Mean.of(random.values[:, -1] - random.values[:, 0])
    return Rise(
        start=judged.sign * float(random.mean[0]),
        end=judged.sign * float(random.mean[-1]),
        error=change.error,
        labels=(int(random.labels[0]), int(random.labels[-1])),
        looks=random.labels.size,
        middle=judged.sign * random.middle,
        metric=judged.metric,
        higher_is_better=judged.higher_is_better,
    )


def training(random: Looks, twice: Curves, more: MoreTraining | NotRun) -> Training:
    """Find the look at which the global model fits its own labels worst."""
    means = random.training.mean(axis=0)
    grade: Grade = more.grade
    if np.isnan(means).all():
        return Training(math.nan, int(random.labels[0]), math.nan, grade)
    worst = int(np.nanargmin(means))
    labels = random.labels[worst]
    there = [
        float(curve.training[at])
        for curve in twice.values()
        for at in np.flatnonzero(curve.labels == labels)
    ]
    return Training(
        smallest=float(means[worst]),
        labels=int(labels),
        twice=float(np.mean(there)) if there else math.nan,
        more=grade,
    )


def doubling(name: str, evidence: Evidence, random: Looks) -> MoreTraining | NotRun:
    """Compare a strategy with itself after twice the training.

    Args:
        name: the strategy.
        evidence: its runs.
        random: random's runs, which have the middle target.
    """
    own, twice = evidence.runs.get(name, {}), evidence.twice.get(name, {})
    both, judged, cap = sorted(set(own) & set(twice)), evidence.judged, evidence.task.budget_cap
    count = len(both)
    if count < FEWEST_SEEDS:
        return NotRun(name, True, count, FEWEST_SEEDS, judged.metric)
    looks = Looks.shared([*(own[seed] for seed in both), *(twice[seed] for seed in both)], cap)
    changes = looks.values[count:] - looks.values[:count]
    means = changes.mean(axis=0)
    largest = int(np.argmax(np.abs(means)))
    # Looks share their noise's size, so that few seeds still give many degrees of freedom.
    error = math.sqrt(float(changes.var(axis=0, ddof=1).mean()) / count)
    limit = normal_quantile(1 - (1 - LEVEL) / 2 / looks.labels.size)
    ratio = Mean.of(log_ratios(own, {seed: twice[seed] for seed in both}, random.middle, cap))
    return MoreTraining(
        strategy=name,
        rounds=evidence.task.rounds,
        change=judged.sign * float(means[largest]),
        labels=int(looks.labels[largest]),
        bound=limit * error,
        saving=_saving(ratio.value),
        saving_half=ratio.half,
        allowed=_allowed_change(random, judged),
        metric=judged.metric,
    )


def _allowed_change(random: Looks, judged: Judged) -> float:
    """Return what twice the training may change; a part of the rise of what is no share."""
    if judged.share:
        return MoreTraining.CHANGE
    return MoreTraining.CHANGE_OF_RISE * abs(float(random.mean[-1] - random.mean[0]))


def smoothness(random: Looks) -> Smoothness:
    """Find the query that explains most of random's rise, beyond the first two looks."""
    each = np.diff(random.values, axis=1) / (random.mean[-1] - random.mean[0])
    steps = each.mean(axis=0)
    even = 1 / steps.size
    if steps.size < 3:
        ends = (int(random.labels[0]), int(random.labels[-1]))
        return Smoothness(math.nan, ends, math.nan, even, math.nan)
    error = math.sqrt(float(each.var(axis=0, ddof=1).mean()) / len(each))
    largest = 2 + int(np.argmax(steps[2:]))
    beside = [steps[at] for at in (largest - 1, largest + 1) if at < steps.size]
    return Smoothness(
        share=float(steps[largest]),
        labels=(int(random.labels[largest]), int(random.labels[largest + 1])),
        beside=float(max(beside)),
        even=even,
        bound=normal_quantile(1 - (1 - LEVEL) / steps.size) * error,
    )


def noise(random: Looks, rounds: int, judged: Judged = BY_ACCURACY) -> Noise:
    """Measure how far looks lie from a smooth trend, by second differences.

    What all seeds share is the task's and not noise, so the mean over seeds is taken out. The
    second difference of independent values has six times their variance.
    """
    seeds, looks = random.values.shape
    slope = float(random.mean[-1] - random.mean[0]) / (looks - 1)
    if looks < 3:
        return Noise(math.nan, slope, rounds, judged.metric)
    bends = np.diff(random.values, n=2, axis=1)
    variance = float(np.sum((bends - bends.mean(axis=0)) ** 2)) / ((seeds - 1) * (looks - 2))
    return Noise(math.sqrt(variance / 6), slope, rounds, judged.metric)


def log_ratios(base: Curves, other: Curves, target: float, cap: int) -> Doubles:
    """Return ln(labels of other / labels of base) by shared seed; NaN if one of the two failed."""
    return np.array(
        [
            math.log(other[seed].labels_to(target, cap) / base[seed].labels_to(target, cap))
            for seed in sorted(set(base) & set(other))
        ],
        dtype=float,
    )


def saving(name: str, own: Curves, other: Curves, target: float, cap: int) -> Saved | None:
    """Measure what a strategy saves against random; None if less than half of the pairs say."""
    ratios = log_ratios(own, other, target, cap)
    mean = Mean.of(ratios)
    if mean.count < max(FEWEST_SEEDS, ratios.size / 2):
        return None
    interval = _saving(mean.value + mean.half), _saving(mean.value - mean.half)
    return Saved(name, _saving(mean.value), interval, mean.count)


def head_room(evidence: Evidence, target: float) -> HeadRoom:
    """Measure what there is to save: by hindsight, by a usual strategy, and by the best stored one.

    Of the stored ones only those count whose interval lies above 0, and the one with the highest
    lower end is the best: the largest mean of many would often be chance.
    """
    own, cap = evidence.runs[RANDOM], evidence.task.budget_cap
    named = [
        saving(name, own, evidence.runs.get(name, {}), target, cap) for name in (HINDSIGHT, USUAL)
    ]
    others = [
        saving(name, own, curves, target, cap)
        for name, curves in evidence.stored.items()
        if name not in (RANDOM, HINDSIGHT, USUAL)
    ]
    sure = [one for one in others if one is not None and one.interval[0] > 0]
    best = sorted(sure, key=lambda one: one.interval[0])[-1:]
    return HeadRoom((*(one for one in named if one is not None), *best))


def seeds(
    own: Curves, other: Curves, target: float, cap: int, seconds: Mapping[str, float]
) -> SeedsNeeded:
    """Count the seeds that savings need, from the spread of a real strategy around its mean."""
    ratios = log_ratios(own, other, target, cap)
    ratios = ratios[~np.isnan(ratios)]
    if ratios.size < FEWEST_SEEDS:
        return SeedsNeeded(math.nan, ratios.size, USUAL, (), math.nan)
    sd = float(ratios.std(ddof=1))
    low, high = sd_interval(sd, ratios.size - 1)
    needs = tuple(
        Need(share, seeds_needed(share, sd), seeds_needed(share, low), seeds_needed(share, high))
        for share in SAVINGS
    )
    found = SeedsNeeded(sd, ratios.size, USUAL, needs, math.nan)
    both = sum(seconds.get(name, math.nan) for name in (RANDOM, USUAL))
    minutes = (found.asked.seeds or math.nan) * both / 60
    return SeedsNeeded(sd, ratios.size, USUAL, needs, minutes)


def separation(
    stored: Mapping[str, Curves], seeds: tuple[int, ...], target: float, cap: int
) -> Separation:
    """Measure how well stored runs tell strategies apart.

    Only strategies count that have a run of every seed, and reached the target with each.
    """
    table = np.array(
        [
            [math.log(curves[seed].labels_to(target, cap)) for seed in seeds]
            for curves in stored.values()
            if set(seeds) <= set(curves)
        ],
        dtype=float,
    ).reshape(-1, len(seeds))
    table = table[~np.isnan(table).any(axis=1)]
    count = len(table)
    if count < Separation.FEWEST:
        return Separation(count, len(seeds), math.nan, 0, 0)
    pairs = count * (count - 1) // 2
    return Separation(count, len(seeds), reliability(table), separated(table), pairs)


def _saving(log_ratio: float) -> float:
    return 0.0 - math.expm1(log_ratio)
