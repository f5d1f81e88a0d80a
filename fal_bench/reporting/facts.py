"""What one must know of a leaderboard beside its numbers: typed facts, without a word of prose.

``findings`` finds them, once for each board; ``sentences`` words them for the terminal, Markdown
and the page, and JSON holds them as they are. A new fact is a class here, found there, and a macro
of its name in ``templates/sentences.txt.j2``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Fact:
    """Something to be known of a board. Equal facts of several boards are said once."""

    @classmethod
    def kind(cls) -> str:
        """The fact's name in JSON and in the template of sentences: "too_few_pairs"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def data(self) -> dict[str, Any]:
        """Return the fact as plain data."""
        return {"kind": self.kind(), **dataclasses.asdict(self)}


# Results of strategies.


@dataclass(frozen=True)
class Saving:
    """How many labels a strategy saves against the baseline.

    Attributes:
        share: share of labels saved; below zero it needs more.
        low: lower end of the interval, which holds for all strategies of the board at once; None if
            there is none, or if runs that stop at the cap hide how large a loss is.
        high: upper end; None if there is none, or if they hide how large a saving is.
        bound: how the share is meant where one end is open.
    """

    share: float
    low: float | None
    high: float | None
    bound: Literal["", "at least", "at most"]


@dataclass(frozen=True)
class Standing:
    """The result of one strategy with all of its runs, as the board has it.

    ``labels`` is a lower bound if fewer than ``runs`` runs reached the target.
    """

    strategy: str
    labels: float
    reached: int
    runs: int
    verdict: str
    saving: Saving | None


@dataclass(frozen=True)
class TooFewSeeds(Fact):
    """There are no verdicts: they take ``needed`` seeds."""

    seeds: int
    needed: int


@dataclass(frozen=True)
class NotComparable(Fact):
    """Strategies have neither a saving nor a test.

    Attributes:
        why: the baseline is not compared ("absent") or lacks runs ("incomplete"), or more than
            half of the pairs leave open which run needs fewer labels ("undecided").
    """

    why: Literal["absent", "incomplete", "undecided"]


@dataclass(frozen=True)
class NothingRanked(Fact):
    """No strategy has all of its runs."""


@dataclass(frozen=True)
class TargetNotReached(Fact):
    """No run reached the target; ``nearest`` is the strategy with the best value at the cap."""

    caps: tuple[int, ...]
    nearest: str | None
    value: float | None


@dataclass(frozen=True)
class OnlyStrategy(Fact):
    """One strategy is ranked; ``others`` tells whether some that lack runs are compared."""

    standing: Standing
    others: bool


@dataclass(frozen=True)
class SharedFirst(Fact):
    """Several strategies have rank 1."""

    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class Winner(Fact):
    """One strategy has rank 1; ``untested`` says why it has no verdict, if it has none."""

    standing: Standing
    untested: TooFewSeeds | NotComparable | None


@dataclass(frozen=True)
class TiedWithFirst(Fact):
    """Strategies that the runs do not show to need more labels than the first one."""

    strategies: tuple[str, ...]


@dataclass(frozen=True)
class WiderSaving(Fact):
    """What the first strategy saves over a ladder of targets, beside the one that was asked for."""

    strategy: str
    saving: Saving
    targets: int
    derived: bool


@dataclass(frozen=True)
class Compared(Fact):
    """The other strategies of one verdict."""

    verdict: str
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class AcrossTasks(Fact):
    """What tasks like these let expect: strategies whose intervals over tasks exclude 0."""

    tasks: int
    better: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True)
class TrainersDiffer(Fact):
    """Ranks compare selection and training at once."""

    trainers: tuple[str, ...]


@dataclass(frozen=True)
class Reference(Fact):
    """A strategy that sees the true labels, and is not ranked."""

    standing: Standing


@dataclass(frozen=True)
class ExternalUnranked(Fact):
    """External strategies that cannot be ranked."""

    strategies: tuple[str, ...]


@dataclass(frozen=True)
class Incomplete(Fact):
    """Strategies with their number of finished runs, which is below what is expected."""

    finished: tuple[tuple[str, int], ...]
    expected: int


# How to read a board. Low and high are those of all tasks.


@dataclass(frozen=True)
class Resolution(Fact):
    """Labels between two evaluations."""

    low: int
    high: int


@dataclass(frozen=True)
class Censoring(Fact):
    """The budget cap; runs that do not reach the target count with it."""

    low: int
    high: int
    from_below: bool = True


@dataclass(frozen=True)
class NoIntervals(Fact):
    """There are too few seeds for any interval."""

    seeds: int
    tasks: int
    needed: int


@dataclass(frozen=True)
class Intervals(Fact):
    """What the brackets behind budgets are, and whether the seeds are few for them."""

    seeds: int
    tasks: int
    wide: bool


@dataclass(frozen=True)
class BudgetsWithoutInterval(Fact):
    """Some budgets have no interval, since too few of their runs reached the target."""


@dataclass(frozen=True)
class Procedure(Fact):
    """How savings, their intervals, verdicts and ranks come about.

    Attributes:
        baseline: what savings refer to.
        targets: number of targets over which savings are averaged.
        comparisons: number of strategies whose intervals hold at once.
        equal: saving and loss within which a strategy is equal.
    """

    baseline: str
    targets: int
    comparisons: int
    equal: float


@dataclass(frozen=True)
class StrictBeyondCap(Fact):
    """Some strategies read labels beyond the cap, which limits paper labels."""

    strategies: tuple[str, ...]


@dataclass(frozen=True)
class NeverReachedLast(Fact):
    """A strategy that never reached ranks behind one that reached with more labels."""


@dataclass(frozen=True)
class Dagger(Fact):
    """Some savings come from pairs in which not both runs reached the target."""

    baseline: str


@dataclass(frozen=True)
class Alike(Fact):
    """What the table leaves out, since it is the same in every row.

    Attributes:
        columns: heading and text of each column; the text is empty where it is that of the labels
            that rank.
    """

    columns: tuple[tuple[str, str], ...]


# What was found in the runs.


@dataclass(frozen=True)
class Undertrained(Fact):
    """Models that do not learn the labels that they are trained with.

    Attributes:
        found: the tasks, each with its strategies, and the lowest mean training accuracy.
        everywhere: whether that is so of every strategy on every task.
    """

    found: tuple[tuple[str, tuple[str, ...], float], ...]
    everywhere: bool


@dataclass(frozen=True)
class CensoredPairs(Fact):
    """The pairs behind the daggers.

    Attributes:
        pairs: pairs of every strategy, at all targets.
        counts: for each strategy, in how many only the baseline, only the strategy, or neither
            reached.
    """

    pairs: int
    counts: tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class TargetTooHard(Fact):
    """The baseline reached the target in less than half of its runs."""

    baseline: str
    reached: int
    runs: int
    metric: str


@dataclass(frozen=True)
class MetAtStart(Fact):
    """Tasks, their runs that meet the target before they buy a label, and all of their runs."""

    tasks: tuple[tuple[str, int, int], ...]
    several: bool


@dataclass(frozen=True)
class SameCurves(Fact):
    """Strategies that are one under several names, on these tasks (on all if there are none)."""

    strategies: tuple[str, ...]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class ExternalOrigin(Fact):
    """Where external strategies come from, and why they are not ranked, if they are not.

    ``unknown`` runs do not show where they reach the target. ``paired`` tells whether their runs
    are proven to pair with those measured here, so that there is a verdict.
    """

    strategies: tuple[str, ...]
    file: str
    name: str
    imported: str
    unranked: str
    runs: int
    unknown: int
    paired: bool


@dataclass(frozen=True)
class Missing(Fact):
    """Runs of one strategy that lack a curve for one reason, on the tasks where the seeds agree."""

    tasks: tuple[str, ...]
    strategy: str
    seeds: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Stopped(Fact):
    """A strategy that stopped buying before the cap, and what it had then.

    Attributes:
        task: the task.
        strategy: the strategy.
        stopped: how many of its runs did.
        runs: its finished runs on the task; those that did not stop are read at the cap.
        budget: labels of a client as a share of the query pool of an average client, mean and
            maximum over clients and runs.
        metrics: names of the metrics, each with mean and maximum over the runs.
    """

    task: str
    strategy: str
    stopped: int
    runs: int
    budget: tuple[float, float]
    metrics: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class EndsEarly(Fact):
    """Strategies that leave labels unbought, so that no model stands at the cap."""

    strategies: tuple[str, ...]


@dataclass(frozen=True)
class EnvironmentsDiffer(Fact):
    """What differs between the environments in which runs were computed."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class NotRecorded(Fact):
    """What some environments record and others do not."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class InShort(Fact):
    """What was found, where there is room for a few words alone; ``more`` are left out."""

    facts: tuple[Fact, ...]
    more: int


@dataclass(frozen=True)
class Explained(Fact):
    """Notes that stand behind ``--explain``."""

    notes: int


@dataclass(frozen=True)
class Facts:
    """All facts of a board.

    Attributes:
        verdict: who needed the fewest labels and how sure that is, the most important one first.
        reading: how to read the table; boards of several targets share them.
        findings: what one must know of this table beside its numbers.
        page_only: why numbers are absent that only the page shows.
        provenance: in what the places differ where runs were computed.
    """

    verdict: tuple[Fact, ...] = ()
    reading: tuple[Fact, ...] = ()
    findings: tuple[Fact, ...] = ()
    page_only: tuple[Fact, ...] = ()
    provenance: tuple[Fact, ...] = ()

    def data(self) -> dict[str, list[dict[str, Any]]]:
        """Return the facts as plain data."""
        return {
            field.name: [fact.data() for fact in getattr(self, field.name)]
            for field in dataclasses.fields(self)
        }


def notes(
    boards: Sequence[Facts], *, page: bool = False
) -> tuple[list[tuple[Fact, ...]], tuple[Fact, ...]]:
    """Return the facts below each board, and those that several boards share.

    How to read a table is said once for all boards; what was found is shared if all have it.

    Args:
        boards: the facts of each board.
        page: whether the columns are shown that only the page has.
    """
    found = [(*one.findings, *one.page_only) if page else one.findings for one in boards]
    if len(boards) == 1:
        return [(*boards[0].reading, *found[0])], ()
    common = [fact for fact in found[0] if all(fact in others for others in found)]
    own = [tuple(fact for fact in mine if fact not in common) for mine in found]
    reading = dict.fromkeys(fact for one in boards for fact in one.reading)
    return own, (*reading, *common)
