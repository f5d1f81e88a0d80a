"""The share of runs that have reached the target, by the share of the cap spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fal_bench.reporting import wording
from fal_bench.reporting.panels.base import Cell, Drawing, Figure, PageData, Panel, Table, number
from fal_bench.reporting.panels.curves import label_price
from fal_bench.reporting.panels.plotting import label_axis, layout, line_trace, marked_line
from fal_bench.stats import BudgetEcdf, budget_ecdf

_READ_AT = (0.25, 0.5, 0.75, 1.0)


class Ecdf(Panel):
    """The distribution of budgets over tasks, seeds and targets."""

    key = "ecdf"
    title = "Budgets over all runs"
    order = 60
    folded = True
    lines = True

    def draw(self, data: PageData) -> Drawing:
        """Draw a line a strategy, from no label to the cap or beyond."""
        found = {name: _pooled(name, data) for name in sorted(data.ranked)}
        known = [ecdf.shares for ecdf in found.values() if ecdf.shares.size]
        first = min((float(shares[0]) for shares in known), default=1.0)
        end = max([1.0, *(float(shares[-1]) for shares in known)])
        priced = data.context.accounting == "cost"
        cap = "the cost of the budget cap" if priced else "the budget cap"
        figure = Figure(
            "ecdf-plot",
            f"Share of runs that reached the target, by share of {cap}",
            [_line(name, ecdf, end, data) for name, ecdf in found.items()],
            layout(
                f"Share of {cap}" + ("" if priced else f" ({data.context.accounting} labels)"),
                "Runs that reached",
                meta=label_axis(1.05, 0.0, 0.8 * first),
                xaxis={"tickformat": ".0%", "tickangle": 0},
                yaxis={"tickformat": ".0%", "range": [0, 1.03]},
                hovermode="closest",
                shapes=[marked_line("x", 1.0, "dot", "cap")] if end > 1 and not priced else [],
            ),
        )
        return Drawing(_text(data, cap, beyond=end > 1), (figure,), numbers=(_table(found),))


def _text(data: PageData, cap: str, *, beyond: bool) -> str:
    pooled = [
        wording.counted(len(data.context.tasks), "task"),
        wording.counted(len(data.context.seeds), "seed"),
    ]
    if len(data.boards) > 1:
        pooled.append(wording.counted(len(data.boards), "target"))
    text = (
        f"The share of a strategy's runs ({', '.join(pooled)}) that reach the target with at most "
        f"this share of {cap}. Higher and further left is better. Where a line ends on the right "
        "is the share of runs that reach at all. On a linear axis the area above a line is its "
        "mean budget."
    )
    if data.context.accounting == "cost":
        text += (
            " The cap limits labels, and what these cost differs: 100 % is the median over the "
            "runs of a task."
        )
    elif beyond:
        text += (
            " The cap limits paper labels: labels that a strategy reads for itself take it beyond "
            "100 %."
        )
    return text


def _line(name: str, ecdf: BudgetEcdf, end: float, data: PageData) -> dict[str, Any]:
    return line_trace(
        name,
        data.styles[name],
        [0.0, *ecdf.shares.tolist(), end],
        [0.0, *ecdf.reached.tolist(), float(ecdf.at([end])[0])],
        line={"shape": "hv"},
        meta={"reach": float(ecdf.shares[-1]) if ecdf.shares.size else 1.0},
        hovertemplate="%{y:.0%} of runs with %{x:.0%} of the cap",
    )


def _pooled(name: str, data: PageData) -> BudgetEcdf:
    caps = {facts.name: label_price(facts, data.board) * facts.cap for facts in data.context.tasks}
    return budget_ecdf(
        [
            (run.interpolated[data.context.accounting], caps[task])
            for board in data.boards
            for (task, strategy, _), run in board.budgets.items()
            if strategy == name
        ]
    )


def _table(found: Mapping[str, BudgetEcdf]) -> Table:
    rows = []
    for name, ecdf in found.items():
        shares = np.asarray(ecdf.at(_READ_AT))
        cells = [number(float(share), f"{100 * share:.0f} %") for share in shares]
        rows.append([Cell(name), Cell(str(ecdf.runs), ecdf.runs), *cells])
    headings = ("Strategy", "Runs", *(f"By {100 * share:.0f} % of the cap" for share in _READ_AT))
    return Table("Share of runs that reached the target", headings, rows)
