"""Gathering the finished curves of a comparison from the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from fal_bench.federation.journal import Row
from fal_bench.sweep.spec import CellSpec
from fal_bench.sweep.store import Store

IDENTITY = ["task", "strategy", "seed"]


def collect_curves(store: Store, specs: Sequence[CellSpec]) -> pd.DataFrame:
    """Return the curves of all finished cells, one row a cell and cycle.

    Args:
        store: the results folder.
        specs: the cells that are asked for.

    Returns:
        Columns ``task``, ``strategy``, ``seed`` and those of ``Row``, sorted by the first three
        and the cycle, whatever the order of ``specs``.
    """
    records = [
        {"task": spec.task.name, "strategy": spec.label, "seed": spec.seed, **asdict(row)}
        for spec in specs
        if store.phase(spec) == "done"
        for row in store.folder(spec).rows()
    ]
    frame = pd.DataFrame(records, columns=[*IDENTITY, *Row.columns()])
    return frame.sort_values([*IDENTITY, "cycle"], ignore_index=True)
