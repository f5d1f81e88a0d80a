"""Comparisons whose truth is known, drawn from real curves.

The label axis of a strategy's curves is stretched on each task so that its mean log ratio of labels
against the baseline, over all seeds at hand, is exactly what is wanted: 0, or that of a saving.
What is left of the real curves is all else: how runs scatter, how strategies go together, where
they run into the cap. A comparison draws seeds with replacement, for each task on its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fal_bench.reporting.budgets import Reading, RunKey
from fal_bench.reporting.context import ReportContext
from fal_bench.reporting.leaderboard import Ladder, Saved, Spent, savings

Runs = Mapping[RunKey, Reading]


@dataclass(frozen=True)
class Rates:
    """What was found in many comparisons; shares of them, but for ``right`` and ``censored``.

    Attributes:
        false: comparisons with a verdict, better or worse, that the truth does not bear out.
        covered: comparisons of which all intervals hold the truth.
        right: strategies whose verdict is the truth's.
        censored: pairs, at all targets, of which not both runs reached.
        open: strategies with an open end, or without a saving.
    """

    false: float
    covered: float
    right: float
    censored: float
    open: float


def uncapped(run: Reading) -> Reading:
    """Return a run that is read to its last model, whatever the cap."""
    last = dict.fromkeys(run.axes, math.inf)
    return replace(run, within=len(run.values), caps=last)


def stretched(run: Reading, factor: float) -> Reading:
    """Return a run that needs ``factor`` times the labels for everything."""
    axes = {name: factor * axis for name, axis in run.axes.items()}
    within = int(np.searchsorted(axes["paper"], run.span[1], side="right"))
    return replace(run, axes=axes, within=within)


def with_saving(runs: Runs, context: ReportContext, names: Sequence[str], saving: float) -> Ladder:
    """Return what strategies spend if each saves exactly this share on every task.

    Strategies of which some run never reaches some target are left out: theirs is not known. A
    seed with which the baseline does not is not asked how far to stretch.

    Args:
        runs: the real runs.
        context: baseline, tasks, seeds and the ladder.
        names: strategies other than the baseline.
        saving: the truth.
    """
    free = {key: uncapped(run) for key, run in runs.items()}
    known = Ladder.climb(free, context, context.rungs, [*names, context.baseline])
    usable = [name for name in names if np.isfinite(known.spent[name].logs).all()]
    asked = np.isfinite(known.spent[context.baseline].logs)
    shifts = {
        name: math.log(1 - saving)
        - known.differences(name, context.baseline).mean(axis=1, where=asked)
        for name in usable
    }
    moved = {
        (task, name, seed): stretched(run, math.exp(shifts[name][place]))
        for place, task in enumerate(context.task_names)
        for (where, name, seed), run in runs.items()
        if where == task and name in shifts
    }
    base = {key: run for key, run in runs.items() if key[1] == context.baseline}
    return Ladder.climb({**moved, **base}, context, context.rungs, [*usable, context.baseline])


def draw(ladder: Ladder, names: Sequence[str], seeds: int, rng: np.random.Generator) -> Ladder:
    """Return a comparison of some seeds, drawn with replacement, the same for all strategies."""
    tasks, size = next(iter(ladder.spent.values())).logs.shape
    chosen = rng.integers(size, size=(tasks, seeds))
    return Ladder({name: _taken(ladder.spent[name], chosen) for name in names})


def _taken(spent: Spent, chosen: NDArray[np.int64]) -> Spent:
    steps, reached = (
        np.take_along_axis(one, chosen[None], axis=2) for one in (spent.steps, spent.reached)
    )
    return Spent(steps, reached)


def measure(
    ladder: Ladder,
    baseline: str,
    truth: float,
    *,
    strategies: int,
    seeds: int,
    comparisons: int,
    rng: np.random.Generator,
) -> Rates:
    """Draw comparisons and count what the procedure says of them.

    Args:
        ladder: what strategies with this saving spend (``with_saving``).
        baseline: the baseline.
        truth: their saving.
        strategies: strategies in a comparison, drawn without replacement, the baseline included.
        seeds: seeds in a comparison.
        comparisons: how many to draw.
        rng: source of all draws.
    """
    others = sorted(set(ladder.spent) - {baseline})
    verdict = "no" if truth == 0 else "better"
    found = []
    for _ in range(comparisons):
        names = list(rng.choice(others, size=min(strategies - 1, len(others)), replace=False))
        drawn = draw(ladder, [*names, baseline], seeds, rng)
        found.append(list(savings(drawn, names, baseline).values()))
    flat = [one for each in found for one in each]
    return Rates(
        false=_share([any(_false(one, truth) for one in each) for each in found]),
        covered=_share([all(_covers(one, truth) for one in each) for each in found]),
        right=_share(
            [(one.verdict == "better") if verdict == "better" else _undecided(one) for one in flat]
        ),
        censored=sum(
            one.censored.strategy + one.censored.baseline + one.censored.both for one in flat
        )
        / sum(one.censored.pairs for one in flat),
        open=_share([math.isnan(one.low) or math.isnan(one.high) for one in flat]),
    )


def _undecided(one: Saved) -> bool:
    return one.verdict not in ("better", "worse")


def _false(one: Saved, truth: float) -> bool:
    return one.verdict == "worse" or (one.verdict == "better" and truth <= 0)


def _covers(one: Saved, truth: float) -> bool:
    """Whether an interval holds the truth; an open end holds all beyond it."""
    return not (one.low > truth or one.high < truth)


def _share(outcomes: Sequence[bool]) -> float:
    return float(np.mean(outcomes)) if outcomes else math.nan
