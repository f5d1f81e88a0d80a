"""What a run spends until it reaches the target: labels by purpose, and other costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fal_bench.federation.ledger import PURPOSES
from fal_bench.reporting.panels.base import Cell, Drawing, Figure, PageData, Panel, Table, number
from fal_bench.reporting.panels.plotting import COLOURS, bar_height, drawn_name, layout, plotted

_RUN = ["task", "strategy", "seed"]
_PATTERNS = ("", "/", "x", ".", "-", "+", "|")
_COSTS = {
    "strict labels": ("labels_strict", "{:.0f}"),
    "rounds": ("rounds", "{:.0f}"),
    "MB sent and received": ("megabytes", "{:.1f}"),
    "seconds in selection": ("select_seconds", "{:.2f}"),
    "seconds in training": ("train_seconds", "{:.1f}"),
}


class Ledger(Panel):
    """The labels that were read up to the target, stacked by purpose."""

    key = "ledger"
    title = "Labels read, by purpose"
    order = 50
    own = True
    charges = True
    one_target = True

    def draw(self, data: PageData) -> Drawing:
        """Draw a bar a strategy."""
        names, until = data.own, _until(data)
        spent = data.comparison.charges.merge(until, on=_RUN)
        # Labels of a query are first trained with in the next cycle; the initial ones at once.
        spent = spent[(spent["purpose"] == "initial") | (spent["cycle"] < spent["until"])]
        means = _mean_of_tasks(
            spent.groupby([*_RUN, "purpose"])["labels"].sum().unstack(fill_value=0), until
        )
        purposes = sorted(means.columns, key=_order)
        text = (
            "Labels that somebody had to provide until the target was confirmed (or, in runs that "
            "did not reach it, up to the cap), mean over all runs. Initial and pool labels are "
            "what papers report; the others, if any, are what a strategy reads for itself. They "
            "add up to what the model that confirmed the target had been given: the step value of "
            "strict labels."
        )
        figure = Figure(
            "ledger-plot",
            "Labels read until the target, by purpose",
            [_purpose_bars(place, purpose, means, data) for place, purpose in enumerate(purposes)],
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
        for name in names:
            values = [float(means[purpose][name]) for purpose in purposes]
            cells = [number(value, f"{value:.1f}") for value in [*values, sum(values)]]
            rows.append([Cell(name), *cells])
        table = Table("Mean labels a run, by purpose", ("Strategy", *purposes, "all"), rows)
        return Drawing(text, (figure,), numbers=table)


class Costs(Panel):
    """What a run costs until it reaches the target."""

    key = "costs"
    title = "Costs"
    order = 60
    own = True
    one_target = True

    def draw(self, data: PageData) -> Drawing:
        """Draw a figure a cost."""
        means = _mean_costs(data)
        text = (
            "What a run costs until the target is confirmed (or, without reaching it, up to the "
            "cap), mean over all runs. Seconds depend on the machine; see the provenance below."
        )
        figures = tuple(
            _cost_figure(place, heading, means[key], data)
            for place, (heading, (key, _)) in enumerate(_COSTS.items())
        )
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
            ],
        )
        return Drawing(text, figures, numbers=table)


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
    sums["labels_strict"] = rows.groupby(_RUN)["labels_strict"].max()
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


def _purpose_bars(place: int, purpose: str, means: pd.DataFrame, data: PageData) -> dict[str, Any]:
    return _bars(
        data.own,
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


def _cost_figure(place: int, heading: str, means: pd.Series[float], data: PageData) -> Figure:
    bars = _bars(
        data.own,
        means,
        marker={"color": [data.styles[name].colour for name in data.own]},
        hovertemplate="%{y}: %{x:.3~s}<extra></extra>",
    )
    form = layout(
        "",
        "",
        title={"text": _capitalised(heading), "x": 0, "font": {"size": 14}},
        yaxis={"autorange": "reversed"},
        xaxis={"rangemode": "tozero", "nticks": 4, "tickangle": 0},
        margin={"l": 20, "r": 14, "t": 36, "b": 26},
    )
    label = f"Cost until the target: {heading}"
    return Figure(f"costs-{place}", label, [bars], form, height=bar_height(len(data.own)) - 30)


def _capitalised(heading: str) -> str:
    return heading[0].upper() + heading[1:]
