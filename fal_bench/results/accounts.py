"""Whether the charges of runs add up to the labels of their curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from fal_bench.federation.ledger import INITIAL, TRAINING_PURPOSES
from fal_bench.results.identity import SHOWN
from fal_bench.results.model import BY_CLIENT
from fal_bench.task import Task


def imbalance(curves: pd.DataFrame, charges: pd.DataFrame) -> str:
    """Say where the charges of a run do not add up to the labels of its curve.

    All of them are the strict labels. Those for training are at most the labels, since one that
    was read for another purpose before is charged only once.

    Args:
        curves: the published curves.
        charges: the published charges.

    Returns:
        The first such place; empty if there is none.
    """
    early = (charges["purpose"] == INITIAL) & (charges["cycle"] > 0)
    if early.any() or (charges["labels"] < 1).any():
        task, strategy, seed = charges[early | (charges["labels"] < 1)][SHOWN].iloc[0]
        return f"{task}, {strategy}, seed {seed}: initial labels after cycle 0, or a charge of none"
    both = _by_cycle(curves, charges)
    # What was read after the last model was trained is in no curve.
    last = both.join(curves.groupby(SHOWN)["cycle"].max().rename("last"))["last"]
    afterwards = both.index.get_level_values("cycle") > last
    wrong = both[(both["read"] != both["gained"]) & ~afterwards]
    if not wrong.empty:
        (task, strategy, seed, cycle), row = wrong.index[0], wrong.iloc[0]
        return (
            f"{task}, {strategy}, seed {seed}, cycle {cycle}: {row['read']} labels charged, "
            f"{row['gained']} more strict labels in the curve"
        )
    wrong = both[(both["trained"] > both["labels"]) & ~afterwards]
    if wrong.empty:
        return ""
    (task, strategy, seed, cycle), row = wrong.index[0], wrong.iloc[0]
    return (
        f"{task}, {strategy}, seed {seed}, cycle {cycle}: {row['trained']} labels charged for "
        f"training so far, {row['labels']} in the curve"
    )


def _by_cycle(curves: pd.DataFrame, charges: pd.DataFrame) -> pd.DataFrame:
    """Return what was read and gained before the model of each cycle was trained.

    Returns:
        By run and cycle: strict labels ``read`` and ``gained``; labels ``trained`` with so far by
        the charges, and ``labels`` by the curve.
    """
    # The model of a cycle is trained with what was read before it.
    first = charges["purpose"] == INITIAL
    trained = charges.assign(cycle=charges["cycle"].where(first, charges["cycle"] + 1))
    names = [*SHOWN, "cycle"]
    read = trained.groupby(names)["labels"].sum()
    for_training = trained[trained["purpose"].isin(TRAINING_PURPOSES)]
    bought = for_training.groupby(names)["labels"].sum()
    curve = curves.set_index(names)
    strict = curve["labels_strict"]
    gained = strict.groupby(level=SHOWN).diff().fillna(strict)
    both = pd.DataFrame({"read": read, "gained": gained, "bought": bought}).fillna(0)
    both["trained"] = both["bought"].groupby(level=SHOWN).cumsum()
    return both.join(curve["labels"]).fillna(0).astype(int)


def broken_protocol(curve: Sequence[Sequence[Any]], task: Task) -> str:
    """Say where a curve is none that the protocol of its task can give.

    Args:
        curve: by cycle: its number, labels, strict labels, and both by client as text.
        task: the task.
    """
    cycles, labels, strict, *_ = zip(*curve, strict=True)
    if cycles != tuple(range(len(curve))):
        return "its cycles are not 0, 1, 2 and so on"
    if labels[0] != task.label_grid_start:
        return f"it begins with {labels[0]} labels, and the task with {task.label_grid_start}"
    if any(now < before for one in (labels, strict) for before, now in pairwise(one)):
        return "its labels fall"
    if any(all_read < bought for bought, all_read in zip(labels, strict, strict=True)):
        return "its labels are more than all that were read"
    end = task.budget_cap + task.query_labels
    if labels[-1] > end or (labels[-1] < end and len(curve) < task.cycle_limit):
        return f"it ends with {labels[-1]} labels, and the protocol with {end}"
    for _, *whole, mine, mine_strict in curve:
        for count, text, name in zip(whole, (mine, mine_strict), BY_CLIENT, strict=True):
            parts = [int(part) for part in text.split(" ")]
            if len(parts) != task.clients or sum(parts) != count:
                return f"{name} does not add up"
    return ""
