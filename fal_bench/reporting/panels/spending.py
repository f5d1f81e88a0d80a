"""What a run spends until it reaches the target: labels by purpose, and other costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from fal_bench.federation.ledger import PURPOSES
from fal_bench.reporting import wording
from fal_bench.reporting.panels.base import Cell, Drawing, Figure, PageData, Panel, Table, number
from fal_bench.reporting.panels.plotting import (
    COLOURS,
    bar_height,
    drawn_name,
    layout,
    line_trace,
    log_ticks,
    plotted,
    spent_amount,
    spent_format,
    spent_title,
)

_RUN = ["task", "strategy", "seed"]
_PATTERNS = ("", "/", "x", ".", "-", "+", "|")
_COSTS = {
    "rounds": ("rounds", "{:.0f}"),
    "MB sent and received": ("megabytes", "{:.1f}"),
    "seconds in selection": ("select_seconds", "{:.2f}"),
    "seconds in training": ("train_seconds", "{:.1f}"),
}
_AGAINST = {
    "select_seconds": ("Seconds in selection", 0.001),
    "megabytes": ("Megabytes sent", 0.01),
}
"""Costs that are drawn against labels, each with the least that counts as something."""
_BEST = {"labels": "few labels at little cost", "cost": "cheap labels at little other cost"}
_WIDE = 5
"""Labels that differ by more than this factor are drawn on a logarithmic axis."""
_BOUGHT = ("initial", "pool")
"""Purposes of labels that every strategy reads."""


class Ledger(Panel):
    """The labels that were read up to the target, stacked by purpose."""

    key = "ledger"
    title = "Labels read, by purpose"
    order = 50
    own = True
    charges = True

    def draw(self, data: PageData) -> Drawing:
        """Draw a bar for each strategy that reads labels for itself, and for the baseline."""
        until = _until(data)
        spent = data.comparison.charges.merge(until, on=_RUN)
        # Labels of a query are first trained with in the next cycle; the initial ones at once.
        spent = spent[(spent["purpose"] == "initial") | (spent["cycle"] < spent["until"])]
        means = _mean_of_tasks(
            spent.groupby([*_RUN, "purpose"])["labels"].sum().unstack(fill_value=0), until
        )
        purposes = sorted(means.columns, key=_order)
        others = [purpose for purpose in purposes if purpose not in _BOUGHT]
        reading = [name for name in data.own if means.loc[name, others].sum() > 0]
        if not reading:
            return Drawing(
                "No strategy read labels for itself: all were initial ones, or bought from the "
                "query pool."
            )
        names = [name for name in data.own if name in reading or name == data.context.baseline]
        text = (
            f"{wording.listed(reading)} {'reads' if len(reading) == 1 else 'read'} labels beyond "
            "those bought from the query pool; strict labels count them. The figure shows the "
            "mean number over all runs until the target was confirmed (or, without reaching it, "
            "up to the cap)."
        )
        figure = Figure(
            "ledger-plot",
            "Labels read until the target, by purpose",
            [_purpose_bars(names, place, one, means) for place, one in enumerate(purposes)],
            layout(
                "Labels", "", barmode="stack", showlegend=True, hovermode="closest",
                yaxis={"autorange": "reversed"},
                legend={
                    "orientation": "h", "traceorder": "normal", "y": 1.02, "yanchor": "bottom",
                    "x": 0,
                },
            ),
            height=bar_height(len(names)) + 40,
        )  # fmt: skip
        rows = []
        for name in data.own:
            values = [float(means[purpose][name]) for purpose in purposes]
            cells = [number(value, f"{value:.1f}") for value in [*values, sum(values)]]
            rows.append([Cell(name), *cells])
        table = Table("Mean labels a run, by purpose", ("Strategy", *purposes, "all"), rows)
        return Drawing(text, (figure,), numbers=(table,))


class Costs(Panel):
    """What a run costs until it reaches the target."""

    key = "costs"
    title = "Labels against seconds and megabytes"
    order = 40
    own = True
    lines = True
    scope = "target"

    def draw(self, data: PageData) -> Drawing:
        """Draw a figure a cost, with a point a strategy."""
        means = _mean_costs(data)
        text = (
            f"Best is at the lower left: {_BEST[data.context.spent]}. Costs are those of a run "
            "until the target is confirmed (or, without reaching it, up to the cap), mean over all "
            "runs. Seconds depend on the machine; see the provenance below."
        )
        figures = tuple(_cost_figure(key, means[key], data) for key in _AGAINST)
        table = Table(
            "Mean costs of a run until the target",
            ("Strategy", *map(_capitalised, _COSTS)),
            [
                [Cell(name)]
                + [
                    number(float(means[key][name]), form.format(means[key][name]))
                    for key, form in _COSTS.values()
                ]
                for name in data.own
            ]
            + _external_costs(data),
        )
        return Drawing(text, figures, numbers=(table,))


def _external_costs(data: PageData) -> list[list[Cell]]:
    """Return a row for each external strategy whose file has bytes; other costs are unknown."""
    rows = []
    for one in data.context.externals:
        curves = data.comparison.external
        assert curves is not None
        until = {
            key: run.cycle for key, run in data.board.budgets.items() if key[1] == one.strategy
        }
        found = curves[curves["strategy"] == one.strategy]
        keys = zip(found["task"], found["strategy"], found["seed"], strict=True)
        counted = [
            key in until and cycle <= until[key]
            for key, cycle in zip(keys, found["cycle"], strict=True)
        ]
        known = found[counted].reindex(columns=["bytes_up", "bytes_down"])
        sent = known.sum(axis=1, min_count=2)
        if until and len(sent) and sent.notna().all():
            megabytes = float(sent.sum()) / 1e6 / len(until)
            costs = [
                (megabytes if key == "megabytes" else math.nan, form)
                for key, form in _COSTS.values()
            ]
            cells = [number(value, form.format(value)) for value, form in costs]
            rows.append([Cell(one.strategy), *cells])
    return rows


def costs_of(data: PageData) -> dict[str, list[tuple[str, str]]]:
    """Return what a run of each strategy costs until the target, in words.

    Args:
        data: the board, and the curves behind it.
    """
    if not data.own:
        return {}
    means = _mean_costs(data)
    return {
        name: [
            (_capitalised(heading), form.format(means[key][name]))
            for heading, (key, form) in _COSTS.items()
        ]
        for name in data.own
    }


def _mean_costs(data: PageData) -> pd.DataFrame:
    until = _until(data)
    rows = data.comparison.curves.merge(until, on=_RUN)
    rows = rows[rows["cycle"] <= rows["until"]]
    rounds = {facts.name: facts.rounds for facts in data.context.tasks}
    rows = rows.assign(
        rounds=rows["task"].map(rounds),
        megabytes=(rows["bytes_up"] + rows["bytes_down"]) / 1e6,
    )
    sums = rows.groupby(_RUN)[["rounds", "megabytes", "select_seconds", "train_seconds"]].sum()
    return _mean_of_tasks(sums, until)


def _until(data: PageData) -> pd.DataFrame:
    """Return the cycle up to which every run of a ranked strategy is counted."""
    wanted = set(data.own)
    rows = [(*key, run.cycle) for key, run in data.board.budgets.items() if key[1] in wanted]
    return pd.DataFrame(rows, columns=[*_RUN, "until"])


def _mean_of_tasks(values: pd.DataFrame, until: pd.DataFrame) -> pd.DataFrame:
    """Average over the runs of a task, then over tasks; a run without a value counts as 0."""
    index = pd.MultiIndex.from_frame(until[_RUN])
    by_task = values.reindex(index, fill_value=0).groupby(["strategy", "task"]).mean()
    return by_task.groupby("strategy").mean()


def _bars(names: Sequence[str], values: pd.Series[float], **more: Any) -> dict[str, Any]:
    """Return a bar a strategy."""
    return {
        "type": "bar",
        "orientation": "h",
        "y": [drawn_name(name) for name in names],
        "x": plotted(values[name] for name in names),
        **more,
    }


def _order(purpose: str) -> tuple[int, str]:
    known = purpose in PURPOSES
    return PURPOSES.index(purpose) if known else len(PURPOSES), purpose


def _purpose_bars(
    names: Sequence[str], place: int, purpose: str, means: pd.DataFrame
) -> dict[str, Any]:
    return _bars(
        names,
        means[purpose],
        name=drawn_name(purpose),
        marker={
            "color": COLOURS[place % len(COLOURS)],
            "pattern": {
                "shape": _PATTERNS[place % len(_PATTERNS)],
                "fillmode": "overlay",
                "fgcolor": "#ffffff",
                "fgopacity": 0.6,
                "size": 9,
                "solidity": 0.2,
            },
        },
        hovertemplate="%{y}: %{x:.0f} labels",
    )


def _cost_figure(key: str, means: pd.Series[float], data: PageData) -> Figure:
    heading, least = _AGAINST[key]
    labels = {row["strategy"]: float(row["labels"]) for row in data.board.rows}
    known = [labels[name] for name in data.own]
    points = [
        {
            **line_trace(
                name,
                data.styles[name],
                [labels[name]],
                [max(float(means[name]), least)],
                mode="markers+text",
                marker={"symbol": data.styles[name].marker, "size": 9},
                hovertemplate=f"{spent_amount(data.context)}, {means[name]:.3g}",
            ),
            "text": [drawn_name(name)],
            "cliponaxis": False,
            "textposition": f"top {_side(labels[name], known)}",
        }
        for name in sorted(data.own)
    ]
    wide = max(known) > _WIDE * min(known)
    return Figure(
        f"costs-{key.partition('_')[0]}",
        f"{_capitalised(data.context.spent)} to the target against {heading.lower()}",
        points,
        layout(
            spent_title(data.context, " to the target") + ", log scale" * wide,
            f"{heading}, log scale",
            xaxis={"type": "log", **log_ticks(known)}
            if wide
            else {"tickformat": spent_format(data.context)},
            yaxis={"type": "log", "dtick": 1},
            hovermode="closest",
        ),
        height=340,
    )


def _side(number: float, known: Sequence[float]) -> str:
    """Return on which side of its point a name lies, so that no edge of the figure cuts it."""
    low, high = min(known), max(known)
    if low == high:
        return "center"
    if high > _WIDE * low:
        low, high, number = math.log(low), math.log(high), math.log(number)
    share = (number - low) / (high - low)
    return "right" if share < 1 / 4 else "left" if share > 3 / 4 else "center"


def _capitalised(heading: str) -> str:
    return heading[0].upper() + heading[1:]
