"""How often ``falbench verify`` is wrong on another processor.

    falbench compare --suite quick -s random,fal-margin --seeds 10 --out elsewhere
    python tests/calibration/closeness.py results/published/quick elsewhere

Takes the runs of a results folder that were computed here, and published results of another
processor that hold the same runs. Prints how many are judged close (all should be), and how often
the curve of another strategy, in place of the published one, is noticed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fal_bench import load
from fal_bench.plugins.registry import Registry
from fal_bench.publication.closeness import (
    PublishedRun,
    allowed_deviations,
    compare_curves,
    curve_of,
    judge_closeness,
)
from fal_bench.publication.verification import runs_here
from fal_bench.results.published import read_record
from fal_bench.results.store import Store
from fal_bench.results.stored import read_planned


def main() -> None:
    """Judge, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help="a folder that falbench publish wrote")
    parser.add_argument("results", type=Path, help="a results folder of this processor")
    options = parser.parse_args()
    published = load(options.published)
    here = runs_here(read_record(options.published), published, Registry.discover())
    runs = {run.identity: run for run in here}
    curves = published.shown_curves()
    computed = list(_computed(runs.values(), Store(options.results)))
    same = [compare_curves(run, curve_of(run, curves), mine, 0.0) for run, mine in computed]
    equal = sum(outcome.state == "same" for outcome in same)
    rounded = sum(outcome.accuracy_gap == 0 for outcome in same)
    largest = max(outcome.accuracy_gap for outcome in same)
    print(
        f"{len(computed)} runs: {equal} with the same bits, {rounded} with the same accuracies, "
        f"largest difference in accuracy {largest:.3f}"
    )
    labels = sorted({run.label for run, _ in computed})
    rng = np.random.default_rng(0)
    others = [
        str(rng.choice([name for name in labels if name != run.label])) for run, _ in computed
    ]
    for sample in (1, 4, len(computed)):
        allowed = allowed_deviations(sample)
        close = [judge_closeness(run, mine, curves, allowed).state for run, mine in computed]
        noticed = [
            judge_closeness(runs[task, other, seed], mine, curves, allowed).state
            for (run, mine), other in zip(computed, others, strict=True)
            for task, _, seed in [run.identity]
        ]
        print(
            f"as one of {sample} runs: {close.count('close')} of {len(close)} are close; another "
            f"strategy is noticed in {noticed.count('differs')} of {len(noticed)} cases"
        )


def _computed(
    runs: Iterator[PublishedRun], store: Store
) -> Iterator[tuple[PublishedRun, pd.DataFrame]]:
    for run in runs:
        if store.phase(run.spec) == "done":
            yield run, read_planned([run.spec], store).shown_curves()


if __name__ == "__main__":
    main()
