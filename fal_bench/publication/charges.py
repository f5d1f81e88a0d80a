"""Published charges: how many labels every run read, by purpose and cycle."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fal_bench.errors import PublicationError
from fal_bench.publication.runs import PublishedRun
from fal_bench.sweep.collect import IDENTITY, read_charges

INITIAL = "initial"
"""The purpose of labels that the first model is trained with; others serve from the next cycle."""

POOL = "pool"
"""The purpose of labels that are bought from the query pool."""

_NUMBERS = ("seed", "cycle", "labels")


def no_charges() -> pd.DataFrame:
    """Return an empty table, for results that were published without charges."""
    return read_charges([])


def read_published_charges(path: Path) -> pd.DataFrame:
    """Read ``charges.csv``.

    Returns:
        The columns of ``read_charges``.

    Raises:
        PublicationError: it is no table of charges.
    """
    try:
        # As text: a strategy may be called "NA".
        charges = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PublicationError(f"Cannot read {str(path)!r} ({error}); restore it.") from None
    if list(charges.columns) != list(no_charges().columns):
        raise PublicationError(f"{str(path)!r} does not have the columns of charges; restore it.")
    try:
        return charges.astype(dict.fromkeys(_NUMBERS, int))
    except ValueError as error:
        raise PublicationError(f"Cannot read {str(path)!r} ({error}); restore it.") from None


def charges_of_buyers(curves: pd.DataFrame) -> pd.DataFrame | None:
    """Derive the charges of runs that read no labels but those they bought.

    Args:
        curves: curves that were published without charges.

    Returns:
        The columns of ``read_charges``; None where a strategy read labels for itself, since the
        curves do not say for which purpose.
    """
    if (curves["labels"] != curves["labels_strict"]).any():
        return None
    bought = curves.groupby(IDENTITY)["labels"].diff()
    first = bought.isna()
    charges = curves[IDENTITY].assign(
        purpose=first.map({True: INITIAL, False: POOL}),
        # A model is trained with what was bought in the cycle before it.
        cycle=(curves["cycle"] - 1).where(~first, curves["cycle"]),
        labels=bought.where(~first, curves["labels"]).astype(int),
    )
    return charges[charges["labels"] > 0].reset_index(drop=True)


def imbalance(curves: pd.DataFrame, charges: pd.DataFrame) -> str:
    """Say where the charges of a run do not add up to the strict labels of its curve.

    Args:
        curves: the published curves.
        charges: the published charges.

    Returns:
        The first such place; empty if there is none.
    """
    # The model of a cycle is trained with what was read before it.
    first = charges["purpose"] == INITIAL
    trained = charges.assign(cycle=charges["cycle"].where(first, charges["cycle"] + 1))
    read = trained.groupby([*IDENTITY, "cycle"])["labels"].sum()
    strict = curves.set_index([*IDENTITY, "cycle"])["labels_strict"]
    gained = strict.groupby(level=IDENTITY).diff().fillna(strict)
    both = pd.DataFrame({"read": read, "gained": gained}).fillna(0).astype(int)
    # What was read after the last model was trained is in no curve.
    last = both.join(curves.groupby(IDENTITY)["cycle"].max().rename("last"))["last"]
    afterwards = both.index.get_level_values("cycle") > last
    wrong = both[(both["read"] != both["gained"]) & ~afterwards]
    if wrong.empty:
        return ""
    (task, strategy, seed, cycle), row = wrong.index[0], wrong.iloc[0]
    return (
        f"{task}, {strategy}, seed {seed}, cycle {cycle}: {row['read']} labels charged, "
        f"{row['gained']} more strict labels in the curve"
    )


def charges_difference(run: PublishedRun, published: pd.DataFrame, computed: pd.DataFrame) -> str:
    """Say where the charges of a run differ from those computed anew.

    Args:
        run: the run.
        published: all published charges.
        computed: those of the run, computed anew.

    Returns:
        The first difference; empty if there is none.
    """
    there, here = _labels(run, published), _labels(run, computed)
    for purpose, cycle in sorted(there.keys() | here.keys()):
        before, now = there.get((purpose, cycle), 0), here.get((purpose, cycle), 0)
        if before != now:
            return f"cycle {cycle}: {before} labels read for {purpose} published, {now} recomputed"
    return ""


def _labels(run: PublishedRun, charges: pd.DataFrame) -> dict[tuple[str, int], int]:
    """Return the labels of one run by purpose and cycle."""
    task, label, seed = run.identity
    mine = charges[
        (charges["task"] == task) & (charges["strategy"] == label) & (charges["seed"] == seed)
    ]
    keys = zip(mine["purpose"], mine["cycle"], strict=True)
    return dict(zip(keys, mine["labels"], strict=True))
