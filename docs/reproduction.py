"""Write the tables of docs/reproduction.md from results/published: ``python docs/reproduction.py``.

The page keeps its own words; what stands between the marks is written here. Every row of
a comparison is what ``falbench report`` prints of two strategies alone. The sentences of the page
are held to the numbers by tests/test_reproduction.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from fal_bench import api
from fal_bench.reporting.answer import answer
from fal_bench.reporting.columns import saving_with_interval
from fal_bench.reporting.targets import Question
from fal_bench.results.model import Results
from fal_bench.results.published import published_tasks, read_record

HERE = Path(__file__).parent
PAGE = HERE / "reproduction.md"
PUBLISHED = HERE.parent / "results" / "published"
MARKS = re.compile(
    r"(<!-- table (?P<name>[\w-]+), written by python docs/reproduction.py -->\n)"
    r".*?(<!-- end -->\n)",
    re.DOTALL,
)

IID, DIRICHLET = "digit-pairs-iid", "digit-pairs-dirichlet"
QUICK_TARGETS = "0.3,0.4,0.5,0.6"
VERDICTS = ("better", "worse", "no evidence")
"""What a test can say; the other verdicts are reasons not to test."""


def main() -> None:
    """Write the tables."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the text that the page should have."""
    text = PAGE.read_text(encoding="utf-8")
    return MARKS.sub(lambda mark: f"{mark[1]}{TABLES[mark['name']]()}{mark[3]}", text)


@dataclass(frozen=True)
class Pair:
    """One strategy against another: a row of a table, with a column for each target.

    Attributes:
        folder: published results.
        task: the task; all tasks of the folder if None.
        strategy: what is tested.
        baseline: against what.
        targets: at which accuracies; by default what the results were published with.
        bill: the labels that count.
    """

    folder: str
    task: str | None
    strategy: str
    baseline: str
    targets: str | None = None
    bill: str = "strict"

    def runs(self) -> dict[str, str]:
        """Return the saving and the verdict at each target."""
        return {target_of(row): run(row) for row in self.answers()}

    def verdicts(self) -> list[str]:
        """Return the verdict at each target."""
        return [str(row["verdict"]) for row in self.answers()]

    def answers(self) -> list[dict[str, Any]]:
        """Return the strategy's row of the leaderboard at each target."""
        return _answers(self)


@cache
def _answers(pair: Pair) -> list[dict[str, Any]]:
    chosen = (pair.strategy, pair.baseline)
    board = leaderboard(pair.folder, pair.targets, pair.baseline, pair.task, chosen, pair.bill)
    return rows_of(board[board["strategy"] == pair.strategy])


@cache
def leaderboard(
    folder: str,
    targets: float | str | None = None,
    baseline: str | None = None,
    task: str | None = None,
    strategies: tuple[str, ...] = (),
    bill: str = "strict",
) -> pd.DataFrame:
    """Return the leaderboard that published curves give to a question."""
    results = opened(folder, task).narrow(strategies=strategies)
    return answer(Question.make(targets, None, bill, baseline, results), results).leaderboard


@cache
def opened(folder: str, task: str | None = None) -> Results:
    """Return published results, or those of one task; many rows of the tables ask them."""
    return opened(folder).narrow(tasks=task) if task else api.load(PUBLISHED / folder)


def rows_of(board: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a leaderboard."""
    return [{str(key): value for key, value in row.items()} for row in board.to_dict("records")]


def ranked(folder: str, target: float | str, task: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the rows of the whole board at the last of the targets, by strategy."""
    return {row["strategy"]: row for row in rows_of(leaderboard(folder, target, task=task))}


def line(*runs: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(runs)} |\n"


def head(*runs: str) -> str:
    """Return the first two lines of a table."""
    return line(*runs) + "|" + "---|" * len(runs) + "\n"


def target_of(row: dict[str, Any]) -> str:
    """Return a target as people read it."""
    name = row["target_name"]
    if isinstance(name, str) and name:
        return f"{name.removeprefix('auto-')} % of the cap"
    return f"{100 * row['target_acc']:.0f} %"


def run(row: dict[str, Any]) -> str:
    """Return the saved labels in percent, with their interval, and the verdict."""
    saved = saving_with_interval(row)
    return f"{saved}, {row['verdict']}" if saved else str(row["verdict"])


def final(row: dict[str, Any], digits: int) -> str:
    """Return a strategy's mean accuracy at the cap."""
    return f"{100 * row['accuracy_final']:.{digits}f} %"


def comparison(pair: Pair) -> str:
    """Return the name of a pair."""
    return f"`{pair.strategy}` against `{pair.baseline}`"


def pairs(chosen: Sequence[Pair], title: str, first: Callable[[Pair], str]) -> str:
    """Return a table of pairs, which all have the same targets.

    Args:
        chosen: the rows.
        title: the first column's.
        first: what stands in the first column of a row.
    """
    runs = [pair.runs() for pair in chosen]
    assert len({tuple(row) for row in runs}) == 1
    rows = [
        line(first(pair), comparison(pair), *row.values())
        for pair, row in zip(chosen, runs, strict=True)
    ]
    return head(title, "comparison", *runs[0]) + "".join(rows)


def by_task(chosen: Sequence[Pair]) -> str:
    """Return a table of pairs on single tasks."""
    return pairs(chosen, "task", lambda pair: f"`{pair.task}`")


def quick(*chosen: tuple[str, str]) -> tuple[Pair, ...]:
    """Return pairs on each task of quick."""
    return tuple(
        Pair("quick", task, strategy, baseline, QUICK_TARGETS)
        for strategy, baseline in chosen
        for task in (IID, DIRICHLET)
    )


COORDINATION = quick(("fed-typiclust", "typiclust"), ("fed-probcover", "typiclust"))
LOW_BUDGET = tuple(
    Pair(folder, task, "fed-typiclust", "typiclust")
    for folder, task in (
        ("standard", "fmnist-iid"),
        ("low-budget", "low-budget-2-iid"),
        ("low-budget", "low-budget-4-iid"),
        ("standard", "fmnist-dirichlet"),
        ("standard", "fmnist-low-budget"),
        ("low-budget", "low-budget-2-a0.1"),
        ("low-budget", "low-budget-4-a0.1"),
    )
)
WHOSE_MODEL = quick(
    ("sal-entropy", "fal-entropy"), ("sal-coreset", "coreset"), ("sal-margin", "fal-margin")
)
MANY_CLASSES = tuple(
    Pair("quick", None, name, "random", f"{QUICK_TARGETS},0.65") for name in ("fal-entropy", "ifal")
)
KAFAL = quick(
    ("ksas[trainer=kcfu]", "random"),
    ("random[trainer=kcfu]", "random"),
    ("ksas", "random"),
    ("ksas[trainer=kcfu]", "random[trainer=kcfu]"),
)
LOGO = tuple(
    Pair("standard", task, "logo", baseline)
    for baseline in ("random", "fal-entropy", "coreset", "badge", "fal-margin")
    for task in ("fmnist-iid", "fmnist-dirichlet", "fmnist-long-tail", "fmnist-large-budget")
)
FAIRFAL_TABLE = {"random": 85.60, "coreset": 86.15, "fal-entropy": 86.28, "badge": 86.65,
                 "logo": 86.98, "ksas": 87.05, "fairfal": 87.37}  # fmt: skip
"""A note on FairFAL's paper: Fashion-MNIST, alpha 0.1, long tail 20, 45 % of the labels."""
LONG_TAIL = tuple(
    Pair("standard", "fmnist-long-tail", name, "random")
    for name in FAIRFAL_TABLE
    if name != "random"
)
CONVOLUTIONAL = tuple(
    Pair(folder, task, name, "random")
    for folder, task in (
        ("standard", "fmnist-dirichlet"),
        ("fmnist-cnn4", "fmnist-cnn4-dirichlet"),
    )
    for name in ("fairfal", "fal-margin", "logo")
)
CIFAR10 = tuple(
    Pair("cifar10-jpegq75", "cifar10-jpegq75-dirichlet", name, "random")
    for name in ("fal-margin", "fal-entropy", "logo")
)
BILLS = tuple(
    Pair("quick", None, strategy, baseline, QUICK_TARGETS, bill)
    for strategy, baseline in (
        ("fedral", "random"),
        ("fedral", "fal-margin"),
        ("fedral", "margin-best-fixed-batch"),
        ("leadq-pool", "fal-entropy"),
        ("leadq-pool", "fal-least-confidence"),
        ("leadq-pool", "fal-margin"),
    )
    for bill in ("paper", "strict")
)
TESTED = (*COORDINATION, *LOW_BUDGET, *WHOSE_MODEL, *MANY_CLASSES, *KAFAL, *LOGO, *LONG_TAIL,
          *CONVOLUTIONAL, *CIFAR10, *BILLS)  # fmt: skip
"""Every comparison of the page."""


def tests_made() -> str:
    """How many tests the page makes, and what chance alone would give."""
    verdicts = [one for pair in dict.fromkeys(TESTED) for one in pair.verdicts() if one in VERDICTS]
    found = sum(one != "no evidence" for one in verdicts)
    return (
        f"This page makes {len(verdicts)} such tests, of which {found} are significant.\n"
        f"If nothing differed anywhere, {len(verdicts) // 20} or fewer would be, on average.\n"
    )


def target_sweep() -> str:
    """Ranks of strategies at four targets."""
    shown = ("fed-probcover", "fed-typiclust", "fal-margin", "coreset", "badge", "chase-ev",
             "random", "fal-least-confidence", "fal-entropy", "logo", "ksas", "ifal")  # fmt: skip
    targets = QUICK_TARGETS.split(",")
    boards = [ranked("quick", float(target)) for target in targets]
    places = sum(pd.notna(row["rank"]) for row in boards[0].values())
    rows = "".join(
        line(
            f"`{name}`",
            *(f"{board[name]['rank']} ({saving_with_interval(board[name])})" for board in boards),
        )
        for name in shown
    )
    titles = (f"{100 * float(target):.0f} %" for target in targets)
    return head(f"rank among {places}, and saving, at", *titles) + rows


def long_tail() -> str:
    """The order of strategies on Fashion-MNIST's long tail, beside FairFAL's table."""
    board = ranked("standard", "auto", "fmnist-long-tail")
    runs = {pair.strategy: pair.runs() for pair in LONG_TAIL}
    targets = list(next(iter(runs.values())))
    runs["random"] = dict.fromkeys(targets, "baseline")
    record = read_record(PUBLISHED / "standard")
    share = next(
        100 * task.budget_cap / published.pool
        for task, published in zip(published_tasks(record), record.tasks, strict=True)
        if task.name == "fmnist-long-tail"
    )
    rows = "".join(
        line(f"`{name}`", f"{theirs:.2f} %", final(board[name], 1), *runs[name].values())
        for name, theirs in FAIRFAL_TABLE.items()
    )
    ours = f"ours, at the cap ({share:.0f} % of the pool)"
    return head("strategy", "FairFAL's table (a note), at 45 %", ours, *targets) + rows


def cifar10() -> str:
    """CIFAR-10 as JPEG files of quality 75."""
    folder = "cifar10-jpegq75"
    random = ranked(folder, "auto")["random"]
    sessions = read_record(PUBLISHED / folder).sessions
    assert sessions is not None
    return (
        by_task(CIFAR10) + f"\nAt the cap `random` has {final(random, 0)}. The run took "
        f"{sessions.wall_seconds / 60:.0f} minutes in two workers.\n"
    )


def bills() -> str:
    """What strategies with labelled rewards or agents cost."""
    return pairs(BILLS, "labels counted", lambda pair: pair.bill)


def labels_read() -> str:
    """The labels to 50 %, on both bills, and what is read beyond those that are bought."""
    board = ranked("quick", 0.5)
    names = ("random", "fal-margin", "fal-least-confidence", "fal-entropy", "leadq-pool",
             "margin-best-fixed-batch", "fedral")  # fmt: skip
    curves = opened("quick").shown_curves()
    curves["beyond"] = curves["labels_strict"] - curves["labels"]
    runs = curves.groupby(["strategy", "task", "seed"], as_index=False)["beyond"].max()
    assert set(runs[runs["beyond"] > 0]["strategy"]) <= set(names)

    def beyond(name: str) -> str:
        read = runs[runs["strategy"] == name]["beyond"]
        ends = (f"{int(end):,}" for end in (read.min(), read.max()))
        return " to ".join(dict.fromkeys(ends))

    rows = "".join(
        line(
            f"`{name}`",
            f"{board[name]['labels_paper']:,.0f}",
            f"{board[name]['labels_strict']:,.0f}",
            f"{board[name]['reached']} of {board[name]['runs']}",
            beyond(name),
        )
        for name in names
    )
    titles = ("paper labels to 50 %", "strict labels to 50 %", "reached")
    return head("strategy", *titles, "labels that a whole run reads and does not buy") + rows


TABLES: dict[str, Callable[[], str]] = {
    "tests": tests_made,
    "coordination": lambda: by_task(COORDINATION),
    "low-budget": lambda: by_task(LOW_BUDGET),
    "whose-model": lambda: by_task(WHOSE_MODEL),
    "many-classes": lambda: pairs(MANY_CLASSES, "tasks", lambda _: "both of `quick`"),
    "kafal": lambda: by_task(KAFAL),
    "logo": lambda: by_task(LOGO),
    "target-sweep": target_sweep,
    "bills": bills,
    "labels-read": labels_read,
    "long-tail": long_tail,
    "convolutional": lambda: by_task(CONVOLUTIONAL),
    "cifar10": cifar10,
}


if __name__ == "__main__":
    main()
