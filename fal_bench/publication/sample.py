"""Which published runs are computed anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fal_bench.publication.runs import PublishedRun


def draw_runs(
    runs: Sequence[PublishedRun], count: int, rng: np.random.Generator
) -> list[PublishedRun]:
    """Draw runs at random, spread evenly over strategies, tasks and seeds.

    Every run drawn is of a strategy that has been drawn least often; among those, of such a task;
    then of such a strategy on such a task, and of such a seed; chance decides between equals.

    Args:
        runs: all runs.
        count: how many to draw; all of them if there are no more.
        rng: decides between equals.

    Returns:
        The runs in the order of ``runs``.
    """
    if count >= len(runs):
        return list(runs)
    left = [runs[place] for place in rng.permutation(len(runs))]
    drawn: set[tuple[str, str, int]] = set()
    times: Counter[tuple[str | int, ...]] = Counter()
    for _ in range(count):
        # The first of equals in the shuffled order.
        chosen = min(left, key=lambda run: tuple(times[one] for one in _kinds(run)))
        left.remove(chosen)
        times.update(_kinds(chosen))
        drawn.add(chosen.identity)
    return [run for run in runs if run.identity in drawn]


def _kinds(run: PublishedRun) -> list[tuple[str | int, ...]]:
    task, label, seed = run.identity
    return [("strategy", label), ("task", task), ("both", label, task), ("seed", seed)]
