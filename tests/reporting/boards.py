"""Curves and questions small enough to work a board out by hand, for the tests of the report."""

from dataclasses import replace

import pandas as pd

from fal_bench.reporting.answer import Board, Comparison
from fal_bench.reporting.budgets import read_runs
from fal_bench.reporting.context import ReportContext, TaskFacts
from fal_bench.reporting.page import render_page
from fal_bench.results.model import MissingRun

GRID = (10, 20, 30, 40)
POINTS = (*GRID, 50)
BASE = (22, 24, 25, 26, 27, 28, 29)
NEVER = (0.1, 0.2, 0.3, 0.4, 0.4)


def crossing_at(labels):
    """Accuracies on the grid that rise linearly and meet the target 0.5 at ``labels``."""
    return tuple(0.5 + (point - labels) / 100 for point in POINTS)


def curve(strategy, accuracies, *, task="a", seed=0, extra=0, labels=POINTS):
    """Rows of one run; ``extra`` strict labels are read beyond the pool."""
    return [
        {
            "task": task,
            "strategy": strategy,
            "seed": seed,
            "cycle": cycle,
            "labels": count,
            "labels_strict": count + extra,
            "accuracy": accuracy,
            "precision": 0.5,
            "loss": 1.0,
            "bytes_up": 0,
            "bytes_down": 0,
            "train_seconds": 0.0,
            "select_seconds": 0.0,
        }
        for cycle, (count, accuracy) in enumerate(zip(labels, accuracies, strict=False))
    ]


def runs(strategy, *crossings, task="a", extra=0):
    """One run a seed, each crossing the target at the given labels (None: never)."""
    return [
        row
        for seed, labels in enumerate(crossings)
        for row in curve(
            strategy,
            NEVER if labels is None else crossing_at(labels),
            task=task,
            seed=seed,
            extra=extra,
        )
    ]


def context(*strategies, seeds=1, tasks=("a",), missing=(), pools=None, **changes):
    facts = tuple(
        TaskFacts(name, GRID, query_labels=10, pool=(pools or {}).get(name, 200), description="")
        for name in tasks
    )
    question = {
        "suite": "toy",
        "target": 0.5,
        "accounting": "paper",
        "baseline": "random",
        "strategies": strategies,
        "seeds": tuple(range(seeds)),
        "tasks": facts,
        "missing": tuple(missing),
        "command": "falbench compare",
        "version": "0",
    }
    return ReportContext(**{**question, **changes})


def paid(rows, price):
    """The same curves where every label has a price."""
    return [{**row, "labels_cost": price * row["labels_strict"]} for row in rows]


def in_costs(asked):
    """The same question, answered in what labels cost."""
    tasks = tuple(replace(facts, priced=True) for facts in asked.tasks)
    return replace(asked, tasks=tasks, accounting="cost")


NO_CHARGES = pd.DataFrame(columns=["task", "strategy", "seed", "purpose", "cycle", "labels"])


def board_of(rows, asked):
    """The board of curves in rows."""
    return Board(read_runs(pd.DataFrame(rows), asked), asked)


def comparison(rows, *contexts, charges=NO_CHARGES):
    """The comparison of curves in rows, with a board for each context."""
    boards = tuple(board_of(rows, asked) for asked in contexts)
    return Comparison(boards, pd.DataFrame(rows), charges)


ROWS = [
    *runs("random", 22.4, 26, 36, task="a"),
    *runs("random", 25, 31.5, None, task="b"),
    *runs("mine[k=3]", 11.2, 13, 18, task="a", extra=7),
    *runs("mine[k=3]", 15, 16.5, 14, task="b", extra=7),
    *runs("half", 20, 21, task="a"),
    *runs("half", 20, 21, 22, task="b"),
]
MISSING = (MissingRun("a", "half", 2, "ValueError: <b>shapes</b>\ndiffer"),)
ASKED = context(
    "random", "mine[k=3]", "half", seeds=3, tasks=("a", "b"), missing=MISSING, accounting="strict"
)


def charges():
    """Ten initial labels and four queries of ten; mine reads seven more for its rewards."""
    columns = ("task", "strategy", "seed", "purpose", "cycle", "labels")
    spent = [("initial", 0, 10), *(("pool", cycle, 10) for cycle in range(4))]
    own = {"random": [], "mine[k=3]": [("reward", 0, 7)]}
    return pd.DataFrame(
        [
            (task, name, seed, *charge)
            for task in ("a", "b")
            for name, more in own.items()
            for seed in range(3)
            for charge in [*spent, *more]
        ],
        columns=columns,
    )


CHARGES = charges()


def render(rows=ROWS, asked=ASKED):
    """The page of curves in rows."""
    return render_page(comparison(rows, asked))
