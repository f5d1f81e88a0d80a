"""One page over several comparisons: who wins where, and how much is left to win."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fal_bench._version import __version__
from fal_bench.reporting import wording
from fal_bench.reporting.answer import Board, Comparison
from fal_bench.reporting.columns import Row, is_best, saving_with_interval
from fal_bench.reporting.facts import TiedWithFirst
from fal_bench.reporting.page import templates, visible

_BOUND: Final = "oracle-greedy"
"""The reference that is head-room's measure: it sees the true labels."""
_STRONGEST: Final = 0.4
"""The saving from which on all are coloured alike."""


@dataclass(frozen=True)
class Headline:
    """What one comparison says in a row.

    Attributes:
        name: what it is called; its page is in the folder of that name.
        winners: the strategies of rank 1.
        tied: those that the runs do not tell from them.
        row: the row of the first winner; None if no strategy reached the target.
        bound: the row of the reference that sees the true labels; None if it was not run.
        board: the board.
    """

    name: str
    winners: tuple[str, ...]
    tied: tuple[str, ...]
    row: Row | None
    bound: Row | None
    board: Board

    @property
    def saving(self) -> str:
        """The winner's saving, with its interval."""
        return saving_with_interval(self.row) if self.row else ""

    @property
    def apart(self) -> bool:
        """Whether there are ranks that say which strategies the runs tell from the winner."""
        return self.row is not None and self.row["rank_low"] is not None

    @property
    def headroom(self) -> float | None:
        """The share of the winner's labels that the reference still saves; None if unknown.

        Both are restricted means, so that a bound with runs at the cap says nothing.
        """
        if self.row is None or self.bound is None:
            return None
        savings = self.row["saving_vs_random"], self.bound["saving_vs_random"]
        if any(map(math.isnan, savings)):
            return None
        return float(1 - (1 - savings[1]) / (1 - savings[0]))


def headline(name: str, comparison: Comparison) -> Headline:
    """Return what a comparison says in a row.

    Args:
        name: what it is called.
        comparison: the comparison; of several targets the middle one speaks for it.
    """
    board = comparison.boards[len(comparison.boards) // 2]
    best = [row for row in board.rows if is_best(row)]
    tied = [fact for fact in board.facts.verdict if isinstance(fact, TiedWithFirst)]
    return Headline(
        name,
        tuple(row["strategy"] for row in best),
        tied[0].strategies if tied else (),
        best[0] if best else None,
        next((row for row in board.rows if row["strategy"] == _BOUND), None),
        board,
    )


def render_overview(comparisons: Mapping[str, Comparison]) -> str:
    """Render the page over several comparisons; it asks the network for nothing.

    Args:
        comparisons: the comparisons by name; the page of each is NAME/leaderboard.html.

    Returns:
        The HTML text; equal inputs give equal text.
    """
    lines = [headline(name, one) for name, one in sorted(comparisons.items())]
    page = templates().get_template("overview.html.j2")
    return visible(
        page.render(
            lines=lines,
            heat=_heat(lines),
            wording=wording,
            bound=_BOUND,
            version=__version__,
        )
    )


def _heat(lines: list[Headline]) -> list[dict[str, Any]]:
    """Return a row a strategy, with its saving in every comparison; most wins come first."""
    found: dict[str, list[Row | None]] = {}
    for place, line in enumerate(lines):
        for row in line.board.rows:
            if not math.isnan(row["saving_vs_random"]):
                found.setdefault(row["strategy"], [None] * len(lines))[place] = row
    rows = [{"name": name, "cells": [_cell(row) for row in mine]} for name, mine in found.items()]
    wins = {
        name: (
            -sum(row is not None and row["verdict"] == "better" for row in mine),
            -sum(row is not None for row in mine),
            name,
        )
        for name, mine in found.items()
    }
    return sorted(rows, key=lambda row: wins[row["name"]])


def _cell(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    saving = float(row["saving_vs_random"])
    return {
        "text": wording.signed(saving),
        "value": saving,
        "tone": round(max(-1.0, min(1.0, saving / _STRONGEST)), 2),
        "sure": row["verdict"] in ("better", "worse"),
        "verdict": row["verdict"],
    }
