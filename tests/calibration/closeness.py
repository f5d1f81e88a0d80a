"""How often ``falbench verify`` is wrong on another processor.

    falbench compare --suite quick -s random,fal-margin --seeds 10 --out elsewhere
    python tests/calibration/closeness.py results/published/quick elsewhere

Takes the cells of a results folder that were computed here, and published results of another
processor that hold the same cells. Prints how many are judged close (all should be), and how often
the curve of another strategy, in place of the published one, is noticed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fal_bench.publication.cells import PublishedCell, published_cells
from fal_bench.publication.closeness import allowed_deviations, judge_closeness
from fal_bench.publication.curves import compare_curves, curve_of, read_published_curves
from fal_bench.publication.folder import CURVES
from fal_bench.publication.record import read_record
from fal_bench.sweep.collect import FinishedCell, read_curves
from fal_bench.sweep.store import Store


def main() -> None:
    """Judge, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help="a folder that falbench publish wrote")
    parser.add_argument("results", type=Path, help="a results folder of this processor")
    options = parser.parse_args()
    cells = {cell.identity: cell for cell in published_cells(read_record(options.published))}
    curves = read_published_curves(options.published / CURVES)
    computed = list(_computed(cells.values(), Store(options.results)))
    same = [compare_curves(cell, curve_of(cell, curves), mine, 0.0) for cell, mine in computed]
    equal = sum(outcome.state == "same" for outcome in same)
    rounded = sum(outcome.accuracy_gap == 0 for outcome in same)
    largest = max(outcome.accuracy_gap for outcome in same)
    print(
        f"{len(computed)} cells: {equal} with the same bits, {rounded} with the same accuracies, "
        f"largest difference in accuracy {largest:.3f}"
    )
    labels = sorted({cell.label for cell, _ in computed})
    rng = np.random.default_rng(0)
    others = [
        str(rng.choice([name for name in labels if name != cell.label])) for cell, _ in computed
    ]
    for sample in (1, 4, len(computed)):
        allowed = allowed_deviations(sample)
        close = [judge_closeness(cell, mine, curves, allowed).state for cell, mine in computed]
        noticed = [
            judge_closeness(cells[task, other, seed], mine, curves, allowed).state
            for (cell, mine), other in zip(computed, others, strict=True)
            for task, _, seed in [cell.identity]
        ]
        print(
            f"as one of {sample} cells: {close.count('close')} of {len(close)} are close; another "
            f"strategy is noticed in {noticed.count('differs')} of {len(noticed)} cases"
        )


def _computed(
    cells: Iterator[PublishedCell], store: Store
) -> Iterator[tuple[PublishedCell, pd.DataFrame]]:
    for cell in cells:
        if store.phase(cell.spec) == "done":
            folder, task = store.folder(cell.spec), cell.spec.task
            one = FinishedCell(*cell.identity, folder, task.hash, cell.spec.reference)
            yield cell, read_curves([one])


if __name__ == "__main__":
    main()
