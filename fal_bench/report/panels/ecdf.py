"""The share of runs that have reached the target, by the share of the cap spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fal_bench.report import wording
from fal_bench.report.budgets import RunBudget, RunKey
from fal_bench.report.context import ReportContext
from fal_bench.report.panels.base import (
    Cell,
    Figure,
    Panel,
    Table,
    label_axis,
    layout,
    line_trace,
    marked_line,
    number,
)
from fal_bench.report.styles import LineStyle
from fal_bench.stats import BudgetEcdf, budget_ecdf

_READ_AT = (0.25, 0.5, 0.75, 1.0)


def ecdf_panel(
    answers: Sequence[tuple[ReportContext, Mapping[RunKey, RunBudget]]],
    strategies: Sequence[str],
    styles: Mapping[str, LineStyle],
) -> Panel:
    """Draw the distribution of budgets over tasks, seeds and targets.

    Args:
        answers: for every target, its context and the budgets.
        strategies: the complete strategies.
        styles: the line of every strategy.
    """
    context = answers[0][0]
    found = {name: _pooled(name, answers) for name in sorted(strategies)}
    pooled = [
        wording.counted(len(context.tasks), "task"),
        wording.counted(len(set(context.seeds)), "seed"),
    ]
    if len(answers) > 1:
        pooled.append(wording.counted(len(answers), "target"))
    text = (
        f"How many of its runs ({', '.join(pooled)}) a strategy brings to the target with at most "
        "this share of the budget cap. Higher and further left is better; where a line ends on "
        "the right is its share of successes. On a linear axis the area above a line is its mean "
        "budget."
    )
    if not found:
        return Panel("ecdf", "Budgets over all runs", "No strategy is complete.", (), None)
    end = max([1.0, *(float(ecdf.shares[-1]) for ecdf in found.values() if ecdf.shares.size)])
    if end > 1:
        text += (
            " The cap limits paper labels: labels that a strategy reads for itself take it beyond "
            "100 %."
        )
    data = [
        line_trace(
            name,
            styles[name],
            [0.0, *ecdf.shares.tolist(), end],
            [0.0, *ecdf.reached.tolist(), float(ecdf.at([end])[0])],
            line={"shape": "hv"},
            meta={"reach": float(ecdf.shares[-1]) if ecdf.shares.size else 1.0},
            hovertemplate="%{y:.0%} of runs with %{x:.0%} of the cap",
        )
        for name, ecdf in found.items()
    ]
    figure = Figure(
        "ecdf-plot",
        "Share of runs that reached the target, by share of the budget cap",
        data,
        layout(
            f"Share of the budget cap ({context.accounting} labels)",
            "Runs that reached",
            meta=label_axis(1.05, 0.0, 0.8 * _first(found)),
            xaxis={"tickformat": ".0%", "tickangle": 0},
            yaxis={"tickformat": ".0%", "range": [0, 1.03]},
            hovermode="closest",
            shapes=[marked_line("x", 1.0, "dot", "cap")] if end > 1 else [],
        ),
    )
    return Panel("ecdf", "Budgets over all runs", text, (figure,), _table(found))


def _first(found: Mapping[str, BudgetEcdf]) -> float:
    """Return the smallest budget as a share of the cap."""
    return min((float(ecdf.shares[0]) for ecdf in found.values() if ecdf.shares.size), default=1.0)


def _pooled(
    name: str, answers: Sequence[tuple[ReportContext, Mapping[RunKey, RunBudget]]]
) -> BudgetEcdf:
    caps = {facts.name: float(facts.cap) for facts in answers[0][0].tasks}
    return budget_ecdf(
        [
            (run.interpolated[context.accounting], caps[task])
            for context, budgets in answers
            for (task, strategy, _), run in budgets.items()
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
