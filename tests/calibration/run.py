"""A/A test of the statistics on real curves: random against identical twins.

    python tests/calibration/run.py --suite quick --seeds 20 --jobs 2

Runs what is missing of the twins' runs, then draws many comparisons of two twins and prints how
often the verdict is wrong and how often the interval of the saving holds the truth.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from comparisons import Stock, measure, standard_errors

from fal_bench.reporting.budgets import budgets_at
from fal_bench.reporting.context import ReportContext

TWINS = ("random", "twin-1", "twin-2", "twin-3")


def main() -> None:
    """Compute runs, measure, print a table."""
    options = _options()
    result, runs = _run(options)
    context = result.context
    seeds = sorted(set(context.seeds))
    print(
        f"{len(runs)} runs: {len(context.tasks)} tasks, {len(seeds)} seeds, "
        f"{len(context.strategies)} identical strategies"
    )
    print(
        "| target | seeds | comparisons | significant | covered | no interval | not comparable | "
        "settled ranks | ties | censored |"
    )
    print("|---" * 10 + "|")
    for asked in _contexts(options, runs, context):
        budgets = budgets_at(runs, asked)
        stock: Stock = [
            [
                [
                    budgets[task.name, name, seed].interpolated["paper"]
                    for name in context.strategies
                ]
                for seed in seeds
            ]
            for task in context.tasks
        ]
        for size in options.sizes:
            rng = np.random.default_rng(options.stream)
            found = measure(stock, size, options.comparisons, rng)
            error, coverage_error = standard_errors(stock, size, 500, rng)
            name = asked.target_name or f"{asked.target:g}"
            print(
                f"| {name} | {size} | {found.comparisons} "
                f"| {100 * found.significant:.1f} ± {100 * error:.1f} % "
                f"| {100 * found.covered:.1f} ± {100 * coverage_error:.1f} % "
                f"| {100 * found.no_interval:.1f} % | {100 * found.not_comparable:.1f} % "
                f"| {100 * found.settled_ranks:.1f} % | {100 * found.tied_pairs:.1f} % "
                f"| {100 * found.censored_pairs:.1f} % |",
                flush=True,
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--task", default=None)
    parser.add_argument("--seeds", type=int, default=20, help="seeds in the stock")
    parser.add_argument("--twins", type=int, default=len(TWINS), choices=range(2, len(TWINS) + 1))
    parser.add_argument("--sizes", type=int, nargs="+", default=[5, 10], help="seeds a comparison")
    parser.add_argument("--comparisons", type=int, default=2000)
    parser.add_argument("--target-acc", nargs="+", default=["auto"])
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("results/calibration"))
    parser.add_argument("--stream", type=int, default=0, help="seed of the resampling")
    return parser.parse_args()


def _run(options: argparse.Namespace):
    from fal_bench.api import compare
    from fal_bench.reporting.budgets import read_runs

    result = compare(
        list(TWINS[: options.twins]),
        suite=options.suite,
        task=options.task,
        seeds=options.seeds,
        jobs=options.jobs,
        out=options.out,
        plugins=[Path(__file__).with_name("twins.py")],
    )
    if result.missing:
        sys.exit(f"{len(result.missing)} runs are missing; see falbench status.")
    return result, read_runs(result.curves, result.context)


def _contexts(options: argparse.Namespace, runs, context: ReportContext) -> list[ReportContext]:
    from fal_bench.reporting.targets import contexts_for
    from fal_bench.task.target import parse_targets

    plain = replace(context, target_name="", task_targets=())
    targets = parse_targets(str(options.target_acc).split(","), "--target-acc")
    return [one for target in targets for one in contexts_for(target, runs, plain)]


if __name__ == "__main__":
    main()
