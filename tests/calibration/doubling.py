"""Does more training change anything? Every task beside itself with twice the rounds.

    python tests/calibration/doubling.py --suite quick --seeds 5 --jobs 2

Runs what is missing, then prints a table with one row a task and strategy. A task and its double
share clients, initial labels and streams with the same seed, so that training alone differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry
from fal_bench.results.store import Store
from fal_bench.results.stored import read_planned
from fal_bench.sweep.plan import Plan, run_missing
from fal_bench.sweep.spec import plan_runs
from fal_bench.sweep.supervisor import Supervisor
from fal_bench.task import Task
from fal_bench.task.suite import load_suite

DOUBLE = ".x2"
"""What the name of a doubled task ends with."""


def main() -> None:
    """Compute runs, measure, print a table."""
    options = _options()
    tasks = [one for one in load_suite(options.suite).tasks if options.task in (None, one.name)]
    pairs = [one for task in tasks for one in (task, doubled(task))]
    selectors = [Selector.parse(text) for text in options.strategies]
    runs = plan_runs(pairs, selectors, range(options.seeds), Registry.discover())
    store = Store(options.out)
    store.prepare()
    run_missing(Supervisor(store, options.jobs), Plan(suite=None, runs=tuple(runs)))
    results = read_planned(runs, store)
    if results.missing:
        sys.exit(f"{len(results.missing)} runs are missing or failed; see {options.out}.")
    for line in table(results.shown_curves(), tasks):
        print(line)


def doubled(task: Task) -> Task:
    """Return the task with twice the rounds, before and after every milestone."""
    sgd = task.optimiser
    later = sgd.model_copy(update={"milestones": tuple(2 * one for one in sgd.milestones)})
    changes = {"name": task.name + DOUBLE, "rounds": 2 * task.rounds, "optimiser": later}
    return task.model_copy(update=changes)


def table(curves: pd.DataFrame, tasks: list[Task]) -> Iterator[str]:
    """Yield the lines of the table: training accuracy, changes by doubling, the largest step."""
    yield "| task | strategy | training accuracy | change of accuracy | of labels | largest step |"
    yield "|---" * 6 + "|"
    for task in tasks:
        mine = curves[curves["task"].str.removesuffix(DOUBLE) == task.name]
        for strategy, own in mine.groupby("strategy", sort=False):
            both = own.groupby(["task", "labels"])[["accuracy", "train_accuracy"]].mean()
            once, twice = both.loc[task.name], both.loc[task.name + DOUBLE]
            change = (twice - once)["accuracy"]
            middle = once["accuracy"].iloc[[0, -1]].mean()
            largest = change.loc[change.abs().idxmax()]
            labels = [labels_to(middle, one["accuracy"]) for one in (once, twice)]
            yield (
                f"| {task.name} | {strategy} | {once['train_accuracy'].min():.3f} "
                f"| {100 * largest:+.2f} (mean {100 * change.mean():+.2f}) "
                f"| {100 * (labels[1] / labels[0] - 1):+.1f} % to {100 * middle:.0f} % "
                f"| {100 * largest_step(once['accuracy']):.0f} % |"
            )


def labels_to(target: float, curve: pd.Series) -> float:
    """Return the labels at which a mean curve first reaches a target, interpolated."""
    after = int(np.argmax(curve.to_numpy() >= target))
    before, here = curve.iloc[after - 1], curve.iloc[after]
    part = (target - before) / (here - before)
    return float(curve.index[after - 1] + part * (curve.index[after] - curve.index[after - 1]))


def largest_step(curve: pd.Series) -> float:
    """Return the largest part of the rise beyond the first two looks that is due to one query."""
    later = curve.to_numpy()[1:]
    return float(np.diff(later).max() / (later[-1] - later[0]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--task", default=None)
    parser.add_argument("--strategies", nargs="+", default=["random", "fal-margin"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/doubling"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
