"""Write the tables of docs/reproduction.md from results/published: ``python docs/reproduction.py``.

The page keeps its own words; what stands between the marks is written anew. Every row is what
``falbench report FOLDER --task TASK -s STRATEGY,BASELINE --baseline BASELINE`` prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fal_bench.publication.evidence import published_evidence
from fal_bench.report.answer import answer
from fal_bench.report.stored import Filter
from fal_bench.report.targets import Question

HERE = Path(__file__).parent
PAGE = HERE / "reproduction.md"
PUBLISHED = HERE.parent / "results" / "published"
MARKS = re.compile(
    r"(<!-- table (?P<name>[\w-]+), written by python docs/reproduction.py -->\n)"
    r".*?(<!-- end -->\n)",
    re.DOTALL,
)


def main() -> None:
    """Write the tables."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the text that the page should have."""
    text = PAGE.read_text(encoding="utf-8")
    return MARKS.sub(lambda mark: f"{mark[1]}{TABLES[mark['name']]()}{mark[3]}", text)


@dataclass(frozen=True)
class Pair:
    """One strategy against another on one task.

    Attributes:
        folder: published results.
        task: the task.
        strategy: what is tested.
        baseline: against what.
        target: at which accuracy; by default what the results were published with.
    """

    folder: str
    task: str
    strategy: str
    baseline: str
    target: float | str | None = None

    def rows(self) -> Iterator[str]:
        """One line of a table for each target."""
        board = ranked(
            self.folder, self.target, self.baseline, self.task, (self.strategy, self.baseline)
        )
        for row in board[board["strategy"] == self.strategy].to_dict("records"):
            yield line(
                f"`{self.task}`",
                f"`{self.strategy}` against `{self.baseline}`",
                target_of(row),
                saving(row),
                str(row["verdict"]),
            )


def ranked(
    folder: str,
    target: float | str | None = None,
    baseline: str | None = None,
    task: str | None = None,
    strategies: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Return the leaderboard that published curves give to a question."""
    evidence = published_evidence(PUBLISHED / folder, Filter(task=task, strategies=strategies))
    targets = evidence.targets if target is None else target
    question = Question.make(targets, "strict", baseline, evidence.strategies)
    return answer(question, evidence).leaderboard


def line(*cells: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |\n"


def head(*cells: str) -> str:
    """Return the first two lines of a table."""
    return line(*cells) + "|" + "---|" * len(cells) + "\n"


def target_of(row: dict[str, object]) -> str:
    """Return a target as people read it."""
    accuracy, name = row["target_acc"], row["target_name"]
    if isinstance(name, str) and name:
        return f"{name.removeprefix('auto-')} % of the cap"
    return f"{100 * float(str(accuracy)):.0f} %"


def saving(row: dict[str, object]) -> str:
    """Return the saved labels, with their interval, in percent."""
    middle, low, high = (
        float(str(row[key])) for key in ("saving_vs_random", "saving_low", "saving_high")
    )
    if middle != middle:
        return "-"
    interval = "" if low != low else f" [{round(100 * low)}, {round(100 * high)}]"
    return f"{round(100 * middle):+d} %{interval}"


def pairs(*chosen: Pair) -> str:
    """Return a table of pairs."""
    rows = "".join(row for pair in chosen for row in pair.rows())
    return head("task", "comparison", "target", "labels saved", "verdict") + rows


def coordination() -> str:
    """Coverage that the server coordinates against that of each client alone."""
    return pairs(
        Pair("quick", "digit-pairs-iid", "fed-typiclust", "typiclust"),
        Pair("quick", "digit-pairs-dirichlet", "fed-typiclust", "typiclust"),
        Pair("standard", "fmnist-iid", "fed-typiclust", "typiclust"),
        Pair("standard", "fmnist-dirichlet", "fed-typiclust", "typiclust"),
        Pair("standard", "fmnist-low-budget", "fed-typiclust", "typiclust"),
        Pair("low-budget", "low-budget-2-iid", "fed-typiclust", "typiclust"),
        Pair("low-budget", "low-budget-4-iid", "fed-typiclust", "typiclust"),
        Pair("low-budget", "low-budget-2-a0.1", "fed-typiclust", "typiclust"),
        Pair("low-budget", "low-budget-4-a0.1", "fed-typiclust", "typiclust"),
    )


def whose_model() -> str:
    """The model that a client asks: its own or the global one."""
    quick = ("digit-pairs-iid", "digit-pairs-dirichlet")
    return pairs(
        *(Pair("quick", task, "sal-entropy", "fal-entropy") for task in quick),
        *(Pair("quick", task, "sal-coreset", "coreset") for task in quick),
        *(Pair("quick", task, "sal-margin", "fal-margin") for task in quick),
    )


def kafal() -> str:
    """KAFAL's training and its selection, each alone."""
    quick = ("digit-pairs-iid", "digit-pairs-dirichlet")
    return pairs(
        *(Pair("quick", task, "random[trainer=kcfu]", "random") for task in quick),
        *(Pair("quick", task, "ksas", "random") for task in quick),
        *(Pair("quick", task, "ksas[trainer=kcfu]", "random[trainer=kcfu]") for task in quick),
    )


def logo() -> str:
    """LoGo against what it is made of and against random."""
    tasks = ("fmnist-iid", "fmnist-dirichlet", "fmnist-long-tail", "fmnist-large-budget")
    return pairs(
        *(Pair("standard", task, "logo", "random") for task in tasks),
        *(Pair("standard", task, "logo", "fal-margin") for task in tasks),
    )


def target_sweep() -> str:
    """Ranks of strategies at four targets."""
    shown = ("fed-probcover", "fed-typiclust", "fal-margin", "coreset", "badge", "chase-ev",
             "random", "fal-least-confidence", "fal-entropy", "logo", "ksas", "ifal")  # fmt: skip
    targets = (0.3, 0.4, 0.5, 0.6)
    boards = [ranked("quick", target).set_index("strategy") for target in targets]
    rows = "".join(
        line(f"`{name}`", *(f"{board.loc[name, 'rank']:.0f} ({saving(dict(board.loc[name]))})"
                            for board in boards))
        for name in shown
    )  # fmt: skip
    return head("rank and saving at", *(f"{100 * target:.0f} %" for target in targets)) + rows


def bills() -> str:
    """What strategies with labelled rewards or agents cost."""
    board = ranked("quick", 0.5).set_index("strategy")
    names = ("random", "fal-margin", "leadq-pool", "margin-best-fixed-batch", "fedral")
    rows = "".join(
        line(
            f"`{name}`",
            f"{board.loc[name, 'labels_paper']:,.0f}",
            f"{board.loc[name, 'labels_strict']:,.0f}",
            f"{board.loc[name, 'reached']} of {board.loc[name, 'runs']}",
        )
        for name in names
    )
    return head("strategy", "paper labels to 50 %", "strict labels to 50 %", "reached") + rows


def convolutional() -> str:
    """LoGo's CNN instead of a perceptron."""
    tested = ("fairfal", "fal-margin", "logo")
    task = "fmnist-cnn4-dirichlet"
    return pairs(*(Pair("fmnist-cnn4", task, name, "random") for name in tested))


def cifar10() -> str:
    """CIFAR-10 as JPEG files of quality 75."""
    task = "cifar10-jpegq75-dirichlet"
    tested = ("fal-margin", "fal-entropy", "logo")
    return pairs(*(Pair("cifar10-jpegq75", task, name, "random") for name in tested))


def long_tail() -> str:
    """The order of strategies on Fashion-MNIST's long tail, beside FairFAL's table."""
    theirs = {"random": 85.60, "coreset": 86.15, "fal-entropy": 86.28, "badge": 86.65,
              "logo": 86.98, "ksas": 87.05, "fairfal": 87.37}  # fmt: skip
    board = ranked("standard", task="fmnist-long-tail")
    names = list(dict.fromkeys(board["target_name"]))
    rows = ""
    for name, accuracy in theirs.items():
        mine = board[board["strategy"] == name].set_index("target_name")
        ours = [f"{saving(dict(mine.loc[one]))}, {mine.loc[one, 'verdict']}" for one in names]
        final = f"{100 * mine['accuracy_final'].iloc[0]:.1f} %"
        rows += line(f"`{name}`", f"{accuracy:.2f} %", final, *ours)
    title = ("strategy", "FairFAL's table, at 45 %", "ours, at the cap (24 % of the pool)")
    shares = (f"saving, {name.removeprefix('auto-')} % of the cap" for name in names)
    return head(*title, *shares) + rows


TABLES: dict[str, Callable[[], str]] = {
    "coordination": coordination,
    "whose-model": whose_model,
    "kafal": kafal,
    "logo": logo,
    "target-sweep": target_sweep,
    "bills": bills,
    "long-tail": long_tail,
    "convolutional": convolutional,
    "cifar10": cifar10,
}


if __name__ == "__main__":
    main()
