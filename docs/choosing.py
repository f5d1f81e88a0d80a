"""Write docs/choosing.md from results/published: ``python docs/choosing.py``.

Which strategy should one use? Every sentence follows from the boards of published tasks with
today's recipes; nothing on the page is written by hand but what a table means.
"""

# ruff: noqa: E501 - a page is prose
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fal_bench import api
from fal_bench.plugins.registry import Registry
from fal_bench.reporting.answer import answer
from fal_bench.reporting.columns import saving_with_interval
from fal_bench.reporting.targets import Question
from fal_bench.results.model import Results
from fal_bench.task import Task

HERE = Path(__file__).parent
PAGE = HERE / "choosing.md"
PUBLISHED = HERE.parent / "results" / "published"
HELD_OUT = "held-out"
"""Results that take no part in the choice, and test it."""
BASELINE = "random"
LEAST_SEEDS = 10
LEAST_STRATEGIES = 8
"""Results of fewer strategies say too little of which one to use."""
WELL_TRAINED = 0.95
"""Training accuracy below which speed of learning may play a part."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Judged:
    """What a published task says of the strategies that ran on all such tasks.

    Attributes:
        folder: the published folder.
        task: the task.
        clients: how many clients there are.
        rows: rows of its board, by strategy.
        low: rows at the lowest step of the ladder, by strategy.
        high: rows at the highest.
        seconds: seconds of selection a run, by strategy.
        megabytes: what a run sends beside what random's sends, by strategy.
        trained: lowest mean training accuracy of random over the looks.
    """

    folder: str
    task: Task
    clients: int
    rows: dict[str, Row]
    low: dict[str, Row]
    high: dict[str, Row]
    seconds: dict[str, float]
    megabytes: dict[str, float]
    trained: float

    @property
    def best(self) -> list[str]:
        """Strategies that share the first rank."""
        return [name for name, row in self.rows.items() if row["rank_low"] == 1]

    @property
    def differ(self) -> str:
        """How clients differ."""
        partition = self.task.partition
        match partition.kind:
            case "iid":
                return "alike"
            case "dirichlet":
                return f"alpha {partition.alpha:g}"
            case "given":
                return "own data" + (", one without labels" if partition.target else "")
        return partition.kind


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


@cache
def judged() -> tuple[Judged, ...]:
    """Return all published tasks with today's recipes and enough seeds."""
    tasks = {
        task.hash: (folder, results, task)  # suites share tasks, and their runs
        for folder, results in opened().items()
        for task in results.tasks["spec"]
    }
    return tuple(judge(*one) for one in tasks.values())


@cache
def held_out() -> tuple[Judged, ...]:
    """Return the published tasks that take no part in the choice."""
    results = published()[HELD_OUT]
    return tuple(judge(HELD_OUT, results, task) for task in results.tasks["spec"])


@cache
def published() -> dict[str, Results]:
    """Return all published folders, by name."""
    return {folder.name: api.load(folder) for folder in sorted(PUBLISHED.glob("*/"))}


@cache
def opened() -> dict[str, Results]:
    """Return the published folders that count, by name."""
    found = {}
    for folder, results in published().items():
        enough = results.runs["seed"].nunique() >= LEAST_SEEDS
        many = len(results.strategies) >= LEAST_STRATEGIES
        if folder != HELD_OUT and enough and many:
            found[folder] = results
    return found


@cache
def compared() -> tuple[str, ...]:
    """Return the strategies of falbench that ran everywhere; yardsticks are left out."""
    everywhere = set.intersection(*(set(one.strategies) for one in opened().values()))
    table = Registry.discover().strategies
    own = {name for name in table.names() if not table.load(name).reference}
    return tuple(sorted(everywhere & own))


def judge(folder: str, results: Results, task: Task) -> Judged:
    """Rank the strategies on one task: over the ladder, and at its ends."""
    mine = results.narrow(tasks=task.name, strategies=compared())
    whole = answer(Question.make("auto", None, "strict", BASELINE, mine), mine)
    ladder = whole.boards[0].context.ladder
    ends = [dict(rung.by_task)[task.name] for rung in (ladder[0], ladder[-1])]
    low, high = (
        answer(Question.make([end], None, "strict", BASELINE, mine), mine).leaderboard
        for end in ends
    )
    baseline = whole.curves[whole.curves["strategy"] == BASELINE]
    curves = whole.curves.groupby(["strategy", "seed"])[
        ["select_seconds", "bytes_up", "bytes_down"]
    ]
    spent = curves.sum().groupby("strategy").mean()
    sent = (spent["bytes_up"] + spent["bytes_down"]) / 1e6
    return Judged(
        folder,
        task,
        len(str(whole.curves["labels_by_client"].iloc[0]).split()),
        *(_by_strategy(board) for board in (whole.leaderboard, low, high)),
        seconds=spent["select_seconds"].to_dict(),
        megabytes=(sent - sent[BASELINE]).to_dict(),
        trained=baseline.groupby("cycle")["train_accuracy"].mean().min(),
    )


def _by_strategy(board: Any) -> dict[str, Row]:
    return {row["strategy"]: row for row in board.to_dict("records")}


def counted(verdict: str, name: str, rows: Callable[[Judged], dict[str, Row]]) -> int:
    """Count the tasks on which a strategy has a verdict."""
    return sum(rows(one)[name]["verdict"] == verdict for one in judged())


def best_alone(names: Sequence[str]) -> str:
    """Return the first of the strategies that need no server."""
    return first([name for name in names if not coordinated(name)])


def first(names: Sequence[str]) -> str:
    """Return the strategy that is most often among the best; of several, the one that saves most."""
    return max(names, key=lambda name: (sum(name in one.best for one in judged()), mean(name)))


def mean(name: str) -> float:
    """Return a strategy's mean saving over the tasks."""
    return float(np.mean([one.rows[name]["saving_vs_random"] for one in judged()]))


def coordinated(name: str) -> bool:
    """Whether a strategy needs the server."""
    family: str = Registry.discover().strategies.load(name).family
    return family == "coordinated"


HEAD = """# Which strategy should I use?

{short}

This page is written by `python docs/choosing.py` from the [published results](published.md) of {tasks} tasks with
today's recipes: {seeds} or more seeds each, seven targets, strict labels. It compares the {count}
strategies that ran on all of them. "Among the best" means that the runs do not tell the strategy from the best one; "better"
and "worse" are against `random`, with simultaneous 95 % intervals on that task ([statistics](statistics.md)). "Mean saving" is the
plain mean over tasks; a board averages logarithms of labels, so that its number may differ by a point.

"""

TABLES = """## The strategies

| strategy | among the best | better | worse | mean saving | least saving |
|---|---|---|---|---|---|
{strategies}
The parameters of `fed-mass` were chosen on the tasks of digit pairs, with other seeds ([page](fed-mass.md)).

## The tasks

| results | task | clients | how they differ | among the best | saving of `{first}` |
|---|---|---|---|---|---|
{tasks}
## Few labels, or many

The ladder of targets goes from 30 % to 90 % of what `random` gains from its first labels to the cap. Savings against
`random` at its two ends, means over the tasks, with the tasks on which the strategy is better and worse there:

| strategy | lowest target | better, worse | highest target | better, worse |
|---|---|---|---|---|
{ends}
## What it costs

Means over the tasks: time of selection on one core beside the training, and what is sent beside what `random`'s run sends.

| strategy | seconds a run | megabytes a run |
|---|---|---|
{costs}
## Tested on other tasks

The {held} tasks of the suite [`held-out`](../fal_bench/task/suites/held-out.toml) take no part in anything above. Six are
other tables; two are known images with other models and clients. Seeds are others, too ([results](../results/published/held-out)). What five ways to choose
save there:

| choice | among the best | better | worse | mean saving | least saving |
|---|---|---|---|---|---|
{choices}
| task | clients | how they differ | among the best | saving of `{first}` |
|---|---|---|---|---|
{others}
{undertrained}
## What these tasks do not cover

{unknown}
"""


def page() -> str:
    """Return the text that the page should have."""
    names = sorted(compared(), key=lambda name: -mean(name))
    head = HEAD.format(short=short(), tasks=len(judged()), seeds=LEAST_SEEDS, count=len(names))
    return head + TABLES.format(
        first=first(names),
        strategies="".join(map(_strategy, names)),
        tasks="".join(map(_task, judged())),
        ends="".join(map(_ends, names)),
        costs="".join(map(_costs, names)),
        held=len(held_out()),
        choices="".join(_choice(said, picks) for said, picks in choices().items()),
        others="".join(_other(one) for one in held_out()),
        undertrained=undertrained(),
        unknown=unknown(),
    )


def choices() -> dict[str, list[str]]:
    """Return what each way to choose takes on each of the tasks that were held out."""
    names, tasks = compared(), held_out()

    def saved(name: str, one: Judged) -> float:
        return float(one.rows[name]["saving_vs_random"])

    always = max(names, key=lambda name: np.mean([saved(name, one) for one in tasks]))
    said = {
        f"this page: `{first(names)}`": first(names),
        f"this page, without sums at the server: `{best_alone(names)}`": best_alone(names),
        f"always `{always}`, the best there on average": always,
        "`random`": BASELINE,
    }
    oracle = [max(names, key=lambda name: saved(name, one)) for one in tasks]
    return {
        **{text: [name] * len(tasks) for text, name in said.items()},
        "the one that saves most on each task, which is known only afterwards": oracle,
    }


def _choice(said: str, picks: Sequence[str]) -> str:
    rows = [one.rows[name] for one, name in zip(held_out(), picks, strict=True)]
    savings = [row["saving_vs_random"] for row in rows]
    least = int(np.argmin(savings))
    verdicts = [row["verdict"] for row in rows]
    cells = [
        f"{sum(row['rank_low'] == 1 for row in rows)} of {len(rows)}",
        f"{verdicts.count('better')}",
        f"{verdicts.count('worse')}",
        f"{100 * np.mean(savings):+.0f} %",
        f"{100 * savings[least]:+.0f} % ({held_out()[least].task.name})" if any(savings) else "",
    ]
    return f"| {said} | {' | '.join(cells)} |\n"


def _other(one: Judged) -> str:
    return _task(one).removeprefix(f"| {one.folder} ")


def short() -> str:
    """Return the answer in two paragraphs of a few sentences."""
    names = compared()
    best, alone = first(names), best_alone(names)
    telling = [one for one in judged() if len(one.best) < len(names)]
    said = [
        f"**Start with `{best}`.** It is among the best on {_among(best, telling)} of the {len(telling)} tasks on which "
        f"the runs separate strategies, and saves {100 * mean(best):.0f} % of random's labels on average over all "
        f"{len(judged())}; it is worse than `random` on {counted('worse', best, lambda one: one.rows) or 'none'}."
    ]
    if coordinated(best):
        said.append(
            "If clients cannot send sums and centres of clusters to the server, take "
            f"`{alone}`: it is among the best on {_among(alone, telling)} of the {len(telling)} and saves {100 * mean(alone):.0f} % on average."
        )
    fine = [one.task.name for one in judged() if _random_is_fine(one)]
    beside = [
        f"On {len(fine)} of the {len(judged())} tasks none of these strategies is shown to be better than `random`"
        f" ({', '.join(fine)})."
        if fine
        else "On every task some strategy is better than `random`."
    ]
    beside += [one for name in fine for one in better_with_more_seeds(name)]
    most = max(names, key=mean)
    if most != best:
        beside.append(
            f"`{most}` has the largest mean saving, {100 * mean(most):.0f} %, and is better than `random` on "
            f"{counted('better', most, lambda one: one.rows)} tasks, `{best}` on {counted('better', best, lambda one: one.rows)}."
        )
    return "\n\n".join(map(" ".join, (said, beside)))


def better_with_more_seeds(task: str) -> list[str]:
    """Say what results of fewer strategies, but more seeds, show of a task."""
    mine = next(one for one in judged() if one.task.name == task)
    seeds = opened()[mine.folder].runs["seed"].nunique()
    said = []
    for folder, results in published().items():
        more = results.runs["seed"].nunique()
        if more <= seeds or mine.task.hash not in {one.hash for one in results.tasks["spec"]}:
            continue
        own = results.narrow(tasks=task)
        board = answer(Question.make("auto", None, "strict", BASELINE, own), own).leaderboard
        found = [
            f"`{row['strategy']}` {saving_with_interval(row)}"
            for row in board.to_dict("records")
            if row["verdict"] == "better"
        ]
        if found:
            said.append(
                f"With {more} seeds, these are better on {task}: {' and '.join(found)} ([{folder}](../results/published/{folder}))."
            )
    return said


def _among(name: str, tasks: Sequence[Judged]) -> int:
    return sum(name in one.best for one in tasks)


def _random_is_fine(one: Judged) -> bool:
    return all(row["verdict"] != "better" for row in one.rows.values())


def _strategy(name: str) -> str:
    savings = [one.rows[name]["saving_vs_random"] for one in judged()]
    better, worse = (
        counted(verdict, name, lambda one: one.rows) for verdict in ("better", "worse")
    )
    where = judged()[int(np.argmin(savings))].task.name
    least = f"{100 * min(savings):+.0f} % ({where})" if name != BASELINE else ""
    return (
        f"| `{name}` | {_among(name, judged())} of {len(judged())} | {better} | {worse} | {100 * np.mean(savings):+.0f} % "
        f"| {least} |\n"
    )


def _task(one: Judged) -> str:
    best = ", ".join(f"`{name}`" for name in one.best)
    saved = saving_with_interval(one.rows[first(compared())]) or "-"
    return f"| {one.folder} | {one.task.name} | {one.clients} | {one.differ} | {best} | {saved} |\n"


def _ends(name: str) -> str:
    cells = []
    for rows in (lambda one: one.low, lambda one: one.high):
        savings = np.array([rows(one)[name]["saving_vs_random"] for one in judged()])
        known = savings[~np.isnan(savings)]
        fewer = "" if len(known) == len(savings) else f" ({len(known)} tasks)"
        cells += [
            f"{100 * known.mean():+.0f} %{fewer}",
            f"{counted('better', name, rows)}, {counted('worse', name, rows)}",
        ]
    return f"| `{name}` | {' | '.join(cells)} |\n"


def _costs(name: str) -> str:
    seconds = np.mean([one.seconds[name] for one in judged()])
    sent = np.mean([one.megabytes[name] for one in judged()])
    return f"| `{name}` | {seconds:.1f} | {sent:.1f} |\n"


def undertrained() -> str:
    """Say on which of the tasks that were held out the models do not learn their labels."""
    low = [one for one in held_out() if one.trained < WELL_TRAINED]
    if not low:
        return ""
    named = ", ".join(f"{one.task.name} ({100 * one.trained:.0f} %)" for one in low)
    return (
        f"How far speed of learning plays a part is not known where the training accuracy of `random` falls below "
        f"{100 * WELL_TRAINED:.0f} %: {named}.\n"
    )


def unknown() -> str:
    """Say what no published task of this kind covers."""
    tasks = [one.task for one in judged()]
    said = []
    most = max(one.clients for one in judged())
    said.append(f"- More than {most} clients.")
    models = sorted({task.model.kind for task in tasks})
    said.append(f"- Models other than {' and '.join(f'`{kind}`' for kind in models)}.")
    if all(task.participation == 1 and not task.dropouts for task in tasks):
        said.append("- Clients that miss rounds.")
    if all(task.annotators.kind == "right" for task in tasks):
        said.append("- Annotators who are wrong.")
    if all(task.aggregation.kind == "fedavg" for task in tasks):
        said.append("- Algorithms other than federated averaging.")
    low = [one.task.name for one in judged() if one.trained < WELL_TRAINED]
    if low:
        said.append(
            f"- How far speed of learning plays a part on {', '.join(low)}: training accuracy falls below "
            f"{100 * WELL_TRAINED:.0f} % there."
        )
    labels = max(task.budget_cap for task in tasks)
    said.append(f"- More than {labels:,} labels in all.")
    return "\n".join(said)


if __name__ == "__main__":
    main()
