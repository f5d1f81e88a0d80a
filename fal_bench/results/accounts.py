"""Whether the charges of runs add up to the labels of their curves."""

from __future__ import annotations

import pandas as pd

from fal_bench.federation.ledger import INITIAL, TRAINING_PURPOSES
from fal_bench.results.identity import SHOWN


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
