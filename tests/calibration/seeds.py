"""How many seeds tell strategies apart: ways to take a few of the seeds at hand.

    python tests/calibration/seeds.py results/published/quick -s random,fal-margin,logo

Prints, for each number of seeds, how many subsets of that size find each strategy better than the
baseline, and how many give every strategy a rank of its own: of all subsets, or of 300 drawn ones.
"""

from __future__ import annotations

import argparse
import math
from itertools import combinations

import numpy as np

from fal_bench.reporting.answer import answer
from fal_bench.reporting.targets import Question
from fal_bench.results import chosen_results

MOST_SUBSETS = 300


def main() -> None:
    """Read, take subsets, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="results, or published results")
    parser.add_argument("-s", "--strategies", required=True, help="names, with commas")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 7, 10, 15, 18])
    options = parser.parse_args()
    names = options.strategies.split(",")
    results = chosen_results(options.results, strategies=names, external=False)
    others = [name for name in results.strategies if name != "random"]
    print("| seeds | subsets |", " | ".join(f"`{name}` better" for name in others), "| all apart |")
    print("|--:" * (len(others) + 3) + "|")
    for size in options.seeds:
        subsets = subsets_of(results.seeds, size)
        better = dict.fromkeys(others, 0)
        apart = 0
        for seeds in subsets:
            some = results.only(results.runs["seed"].isin(seeds))
            [board] = answer(Question.make(None, None, "paper", None, some), some).boards
            rows = {row["strategy"]: row for row in board.rows}
            for name in others:
                better[name] += rows[name]["verdict"] == "better"
            apart += all(row["rank_low"] == row["rank_high"] for row in rows.values())
        shares = [f"{count / len(subsets):.0%}" for count in (*better.values(), apart)]
        print(f"| {size} | {len(subsets)} |", " | ".join(shares), "|")


def subsets_of(seeds: list[int], size: int) -> list[list[int]]:
    """Return all subsets of a size, or distinct ones that are drawn where there are too many."""
    if math.comb(len(seeds), size) <= MOST_SUBSETS:
        return [list(some) for some in combinations(seeds, size)]
    rng = np.random.default_rng(0)
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < MOST_SUBSETS:
        drawn.add(tuple(sorted(rng.choice(seeds, size, replace=False).tolist())))
    return [list(some) for some in sorted(drawn)]


if __name__ == "__main__":
    main()
