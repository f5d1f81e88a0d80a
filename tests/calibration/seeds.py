"""How many seeds tell strategies apart: every way to take a few of the seeds at hand.

    python tests/calibration/seeds.py results/published/quick -s random,fal-margin,logo

Prints, for each number of seeds, how many of all subsets of that size find each strategy better
than the baseline, and how many give every strategy a rank of its own.
"""

from __future__ import annotations

import argparse
from itertools import combinations

from fal_bench.reporting.answer import answer
from fal_bench.reporting.targets import Question
from fal_bench.results import chosen_results


def main() -> None:
    """Read, take subsets, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="results, or published results")
    parser.add_argument("-s", "--strategies", required=True, help="names, with commas")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 7, 8])
    options = parser.parse_args()
    names = options.strategies.split(",")
    results = chosen_results(options.results, strategies=names, external=False)
    others = [name for name in results.strategies if name != "random"]
    print("| seeds | subsets |", " | ".join(f"`{name}` better" for name in others), "| all apart |")
    print("|--:" * (len(others) + 3) + "|")
    for size in options.seeds:
        subsets = list(combinations(results.seeds, size))
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


if __name__ == "__main__":
    main()
