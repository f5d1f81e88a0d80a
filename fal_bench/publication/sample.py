"""Which published cells are computed anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fal_bench.publication.cells import PublishedCell


def draw_cells(
    cells: Sequence[PublishedCell], count: int, rng: np.random.Generator
) -> list[PublishedCell]:
    """Draw cells at random, spread evenly over strategies, tasks and seeds.

    Every cell drawn is of a strategy that has been drawn least often; among those, of such a task;
    then of such a strategy on such a task, and of such a seed; chance decides between equals.

    Args:
        cells: all cells.
        count: how many to draw; all of them if there are no more.
        rng: decides between equals.

    Returns:
        The cells in the order of ``cells``.
    """
    if count >= len(cells):
        return list(cells)
    left = [cells[place] for place in rng.permutation(len(cells))]
    drawn: set[tuple[str, str, int]] = set()
    times: Counter[tuple[str | int, ...]] = Counter()
    for _ in range(count):
        # The first of equals in the shuffled order.
        chosen = min(left, key=lambda cell: tuple(times[one] for one in _kinds(cell)))
        left.remove(chosen)
        times.update(_kinds(chosen))
        drawn.add(chosen.identity)
    return [cell for cell in cells if cell.identity in drawn]


def _kinds(cell: PublishedCell) -> list[tuple[str | int, ...]]:
    task, label, seed = cell.identity
    return [("strategy", label), ("task", task), ("both", label, task), ("seed", seed)]
