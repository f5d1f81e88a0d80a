"""How often the statistics are wrong, on real curves whose truth is known.

    python tests/calibration/run.py results/published/quick

Stretches the curves of finished runs so that every strategy saves exactly 0, 5, 10 or 20 %, draws
comparisons of some seeds and strategies, and prints how often one holds a false verdict, how often
all of its intervals hold the truth, and how often the truth is found.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from comparisons import measure, with_saving

import fal_bench


def main() -> None:
    """Read, draw, print."""
    options = _options()
    report = fal_bench.report(options.results, target_acc=options.target_acc, accounting="paper")
    board = report.boards[0]
    context = board.context
    names = sorted(set(context.strategies) - context.references - {context.baseline})
    print(
        f"{len(context.tasks)} tasks, {len(context.seeds)} seeds, {len(context.rungs)} targets, "
        f"{options.comparisons} comparisons a row"
    )
    print(
        "| truth | strategies | seeds | a false verdict | all intervals hold the truth | "
        "the truth is found | open intervals | censored |"
    )
    print("|--:" * 8 + "|")
    for truth in options.truths:
        ladder = with_saving(board.runs, context, names, truth)
        for strategies in options.strategies:
            for seeds in options.sizes:
                found = measure(
                    ladder,
                    context.baseline,
                    truth,
                    strategies=strategies,
                    seeds=seeds,
                    comparisons=options.comparisons,
                    rng=np.random.default_rng(options.stream),
                )
                print(
                    f"| {100 * truth:.0f} % | {min(strategies, len(ladder.spent))} | {seeds} "
                    f"| {100 * found.false:.1f} % | {100 * found.covered:.1f} % "
                    f"| {100 * found.right:.0f} % | {100 * found.open:.0f} % "
                    f"| {100 * found.censored:.1f} % |",
                    flush=True,
                )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", default="results/published/quick")
    parser.add_argument("--target-acc", default="auto")
    parser.add_argument("--truths", type=float, nargs="+", default=[0.0, 0.05, 0.1, 0.2])
    parser.add_argument("--strategies", type=int, nargs="+", default=[3, 30])
    parser.add_argument("--sizes", type=int, nargs="+", default=[5, 10], help="seeds a comparison")
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--stream", type=int, default=0, help="seed of the resampling")
    return parser.parse_args()


if __name__ == "__main__":
    main()
