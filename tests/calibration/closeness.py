"""How often ``falbench verify`` is wrong on another processor.

    python tests/calibration/closeness.py results/published/quick elsewhere

Takes two folders of results that hold the same runs, computed on two types of processor: published
results, and any others. Prints how many runs are judged close (all should be), and how often the
curve of another strategy, in place of the published one, is noticed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from fal_bench import load
from fal_bench.plugins.registry import Registry
from fal_bench.publication.closeness import (
    PublishedRun,
    RunOutcome,
    compare_curves,
    curve_of,
    judge_closeness,
    refuse_drift,
)
from fal_bench.publication.verification import runs_here
from fal_bench.results.record import read_record


def main() -> None:
    """Judge, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help="a folder that falbench publish wrote")
    parser.add_argument("others", type=Path, help="results of another processor")
    options = parser.parse_args()
    registry = Registry.discover()
    published, others = load(options.published), load(options.others)
    there = set(others.runs.loc[others.runs["state"] == "done", "key"])
    known = runs_here(read_record(options.published), published, registry)
    runs = [run for run in known if run.spec.key in there]
    shares = {one.name for one in registry.metrics.all() if one.share}
    curves, computed = published.shown_curves(), others.shown_curves()
    pairs = [(run, curve_of(run, curves), curve_of(run, computed)) for run in runs]
    same = [compare_curves(*pair, 0.0) for pair in pairs]
    close = [judge_closeness(run, mine, its, shares) for run, its, mine in pairs]
    print(
        f"{len(runs)} runs: {sum(one.state == 'same' for one in same)} with the same bits, "
        f"{sum(one.accuracy_gap == 0 for one in same)} with the same accuracies, largest "
        f"difference in accuracy {max(one.accuracy_gap for one in same):.3f}"
    )
    print(f"close: {_states(close)}; all of them together: {_states(refuse_drift(close))}")
    for one in refuse_drift(close):
        if one.state != "close":
            print(f"  {one.run.identity}: {one.note}")
    print(f"another strategy's curve: {_states(_exchanged(pairs, shares))}")


def _exchanged(
    pairs: list[tuple[PublishedRun, pd.DataFrame, pd.DataFrame]], shares: set[str]
) -> list[RunOutcome]:
    """Judge curves of other strategies of the same task and seed in place of the published ones."""
    rng = np.random.default_rng(0)
    outcomes = []
    for run, _, mine in pairs:
        others = [
            its
            for other, its, _ in pairs
            if (other.spec.task, other.spec.seed) == (run.spec.task, run.spec.seed)
            and other.label != run.label
        ]
        if others:
            outcomes.append(
                judge_closeness(run, mine, others[int(rng.integers(len(others)))], shares)
            )
    return outcomes


def _states(outcomes: list[RunOutcome] | tuple[RunOutcome, ...]) -> str:
    count = sum(one.state == "close" for one in outcomes)
    return f"{count} of {len(outcomes)} are close"


if __name__ == "__main__":
    main()
