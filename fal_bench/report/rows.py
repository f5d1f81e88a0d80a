"""One row of the leaderboard, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

Row = Mapping[str, Any]
"""One row of the leaderboard, by column."""

Group = Literal["ranked", "reference", "external", "incomplete"]
GROUPS: tuple[Group, ...] = ("ranked", "reference", "external", "incomplete")
"""From the top of the board to its end."""


def group(row: Row) -> Group:
    """Return where a row stands: ranked, or after those that are, in the order of ``GROUPS``."""
    verdict: str = row["verdict"]
    if verdict == "reference":
        return "reference"
    if verdict == "incomplete":
        return "incomplete"
    return "external" if verdict == "external" and pd.isna(row["rank"]) else "ranked"


def is_ranked(row: Row) -> bool:
    """Tell whether a row is ranked: it has all its runs, of these tasks, and is no reference."""
    return group(row) == "ranked"


def is_best(row: Row) -> bool:
    """Tell whether a row is a winner: first, with a run that reached the target."""
    return is_ranked(row) and row["rank"] == 1 and row["reached"] > 0


def pair_counts(row: Row) -> tuple[int, int, int] | None:
    """Return in how many pairs only the baseline, only the strategy, or neither reached.

    None where there are no pairs.
    """
    names = ("pairs_strategy_censored", "pairs_baseline_censored", "pairs_both_censored")
    first, second, third = (row[name] for name in names)
    return None if pd.isna(first) else (int(first), int(second), int(third))


def censored_pairs(row: Row) -> int:
    """Return in how many pairs not both runs reached."""
    return sum(pair_counts(row) or ())
