"""What an inspection finds of a task: typed facts with their grades, without a word of prose.

``findings`` measures them, ``templates/sentences.txt.j2`` words them. A new finding is a class
here, a function there, and two macros of its name: what was found, and what to change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fal_bench.reporting.facts import Fact
from fal_bench.task.target import ACCURACY

Grade = Literal["good", "remark", "fault", "unknown"]
"""How good a finding is; faults alone decide the verdict."""


@dataclass(frozen=True)
class Finding(Fact):
    """Something that was measured, or could not be.

    Attributes:
        NEEDED: whether a task is worth its minutes only if this is known.
    """

    NEEDED: ClassVar[bool] = True

    @property
    def grade(self) -> Grade:
        """How good it is."""
        raise NotImplementedError

    def data(self) -> dict[str, Any]:
        """Return the finding and its grade as plain data; what is not known is None."""
        known = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in super().data().items()
        }
        return {**known, "grade": self.grade}


@dataclass(frozen=True)
class Rise(Finding):
    """What labels are worth at all: random's mean of the judged metric.

    Attributes:
        start: at the first look.
        end: at the last look up to the cap.
        error: standard error over seeds of their difference.
        labels: labels at these two looks.
        looks: number of looks up to the cap.
        middle: the middle target, half-way between ``start`` and ``end``.
        metric: the judged metric.
        higher_is_better: whether it is better when higher.
    """

    FEWEST_ERRORS: ClassVar[float] = 2.0

    start: float
    end: float
    error: float
    labels: tuple[int, int]
    looks: int
    middle: float
    metric: str = ACCURACY
    higher_is_better: bool = True

    @property
    def grade(self) -> Grade:
        """A fault if labels do not improve the metric beyond doubt."""
        rise = (self.end - self.start) * (1 if self.higher_is_better else -1)
        return "good" if rise > max(0.0, self.FEWEST_ERRORS * self.error) else "fault"


@dataclass(frozen=True)
class Training(Finding):
    """How well the global model fits its own labels: mean over random's seeds.

    Attributes:
        smallest: smallest training accuracy over the looks; NaN if it was not recorded.
        labels: labels at that look.
        twice: training accuracy at that look with twice the rounds, likewise.
        more: the grade of what twice the training changes.
    """

    FAULT: ClassVar[float] = 0.95
    REMARK: ClassVar[float] = 0.98

    smallest: float
    labels: int
    twice: float
    more: Grade

    @property
    def grade(self) -> Grade:
        """A fault below 0.95, unless more training changes nothing; a remark below 0.98."""
        if math.isnan(self.smallest):
            return "unknown"
        if self.smallest >= self.REMARK:
            return "good"
        return "fault" if self.smallest < self.FAULT and self.more != "good" else "remark"


@dataclass(frozen=True)
class MoreTraining(Finding):
    """What changes with twice the rounds and milestones, for one strategy with the same seeds.

    Attributes:
        strategy: its name.
        rounds: the task's rounds, which are doubled.
        change: the largest change of the mean of the judged metric over the looks, with its sign.
        labels: labels at that look.
        bound: what noise alone keeps the largest change below in 95 % of inspections.
        saving: share of labels to the middle target that it saves; NaN if it is not reached.
        saving_half: half the width of the 95 % interval of the log ratio of labels, likewise.
        allowed: the largest change that is none: 0.005 of a share, else 0.01 of random's rise.
        metric: the judged metric.
    """

    CHANGE: ClassVar[float] = 0.005
    CHANGE_OF_RISE: ClassVar[float] = 0.01
    SAVING: ClassVar[float] = 0.03

    strategy: str
    rounds: int
    change: float
    labels: int
    bound: float
    saving: float
    saving_half: float
    allowed: float = CHANGE
    metric: str = ACCURACY

    @property
    def settled(self) -> bool:
        """Whether nothing moves by more than is allowed."""
        return abs(self.change) <= self.allowed and not abs(self.saving) > self.SAVING

    @property
    def moves(self) -> bool:
        """Whether something moves by more than is allowed, and than noise explains."""
        value = abs(self.change) > max(self.allowed, self.bound)
        log_ratio = abs(math.log1p(-self.saving))
        return value or (abs(self.saving) > self.SAVING and log_ratio > self.saving_half)

    @property
    def grade(self) -> Grade:
        """A fault if something moves; a remark if that may be noise."""
        return "fault" if self.moves else "good" if self.settled else "remark"


@dataclass(frozen=True)
class Smoothness(Finding):
    """The largest step of random's mean curve by one query, beyond the first two looks.

    Attributes:
        share: the step as a share of the whole rise; NaN for fewer than four looks.
        labels: labels before and after it.
        beside: the larger one of the neighbouring steps, likewise.
        even: what every query would explain of an even rise.
        bound: what noise alone adds at most to the largest step in 95 % of inspections, likewise.
    """

    FAULT: ClassVar[float] = 0.15
    JUMP: ClassVar[float] = 2.0

    share: float
    labels: tuple[int, int]
    beside: float
    even: float
    bound: float

    @property
    def coarse(self) -> bool:
        """Whether there are so few looks that even an even rise would be too steep."""
        return self.even > self.FAULT

    @property
    def jumps(self) -> bool:
        """Whether the step stands out from its neighbours."""
        return not self.coarse and self.share > self.JUMP * self.beside

    @property
    def grade(self) -> Grade:
        """A fault if a query explains more than 15 % of the rise; a remark if that may be noise."""
        if math.isnan(self.share):
            return "unknown"
        if self.share <= self.FAULT:
            return "good"
        return "fault" if self.coarse or self.share - self.bound > self.FAULT else "remark"


@dataclass(frozen=True)
class Noise(Finding):
    """Noise of one run's values between neighbouring looks, against what a query is worth.

    Attributes:
        sd: standard deviation around a smooth trend; NaN for fewer than three looks.
        slope: mean gain of random by one query.
        rounds: rounds over which a look averages its evaluation now.
        metric: the judged metric.
    """

    FAULT: ClassVar[float] = 1.0
    REMARK: ClassVar[float] = 0.5

    sd: float
    slope: float
    rounds: int
    metric: str = ACCURACY

    @property
    def grade(self) -> Grade:
        """A fault if the noise exceeds the slope; a remark from half of it."""
        if math.isnan(self.sd):
            return "unknown"
        if self.sd > self.FAULT * self.slope:
            return "fault"
        return "remark" if self.sd > self.REMARK * self.slope else "good"


@dataclass(frozen=True)
class Saved:
    """What a strategy saves against random at the middle target.

    Attributes:
        strategy: its name.
        share: share of labels saved.
        interval: 95 % interval of the share.
        seeds: pairs of runs that both reached the target.
    """

    strategy: str
    share: float
    interval: tuple[float, float]
    seeds: int


@dataclass(frozen=True)
class HeadRoom(Finding):
    """How much there is to save: what a reference with hindsight saves, and a usual strategy.

    Attributes:
        saved: savings of the strategies that reached the target with two seeds or more.
    """

    FAULT: ClassVar[float] = 0.05
    REMARK: ClassVar[float] = 0.10

    saved: tuple[Saved, ...]

    @property
    def grade(self) -> Grade:
        """A fault if nothing saves 5 %; a remark below 10 %."""
        if not self.saved:
            return "unknown"
        most = max(one.share for one in self.saved)
        return "fault" if most < self.FAULT else "remark" if most < self.REMARK else "good"


@dataclass(frozen=True)
class Need:
    """Seeds that a saving of some size needs; None stands for more than a thousand.

    Attributes:
        saving: share of labels saved.
        seeds: by the standard deviation that was measured.
        low: by the lower end of its 95 % interval.
        high: by the upper end.
    """

    saving: float
    seeds: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class SeedsNeeded(Finding):
    """How many seeds show a saving at the middle target (two-sided 5 %, power 80 %).

    Attributes:
        sd: standard deviation over seeds of the log ratio of labels to random's; NaN if unknown.
        pairs: pairs of runs that it is from.
        strategy: whose runs are paired with random's.
        needs: the seeds, by saving.
        minutes: computing time that a saving of 10 % takes; NaN if it is not known.
    """

    GOOD: ClassVar[int] = 10
    REMARK: ClassVar[int] = 30
    ASKED: ClassVar[float] = 0.10

    sd: float
    pairs: int
    strategy: str
    needs: tuple[Need, ...]
    minutes: float

    @property
    def asked(self) -> Need:
        """What a saving of 10 % needs."""
        return next(need for need in self.needs if need.saving == self.ASKED)

    @property
    def grade(self) -> Grade:
        """Good up to 10 seeds for a saving of 10 %, and a fault beyond 30."""
        if not self.needs:
            return "unknown"
        seeds = self.asked.seeds
        if seeds is None or seeds > self.REMARK:
            return "fault"
        return "good" if seeds <= self.GOOD else "remark"


@dataclass(frozen=True)
class Separation(Finding):
    """How well the finished runs in the results folder tell strategies apart.

    Attributes:
        strategies: strategies whose runs of all seeds reached the middle target.
        seeds: seeds of each.
        reliability: intraclass correlation of one run; NaN for fewer than three strategies.
        separated: pairs of strategies whose paired 95 % interval leaves out 0.
        pairs: pairs of strategies.
    """

    NEEDED: ClassVar[bool] = False
    FEWEST: ClassVar[int] = 3
    FAULT: ClassVar[float] = 0.2
    REMARK: ClassVar[float] = 0.5

    strategies: int
    seeds: int
    reliability: float
    separated: int
    pairs: int

    @property
    def grade(self) -> Grade:
        """By the share of a run's variance that is its strategy's: a fault below 0.2."""
        if math.isnan(self.reliability):
            return "unknown"
        if self.reliability < self.FAULT:
            return "fault"
        return "remark" if self.reliability < self.REMARK else "good"


@dataclass(frozen=True)
class Cost(Finding):
    """What a run costs in computing time.

    Attributes:
        minutes: mean minutes of one run, by strategy.
    """

    minutes: tuple[tuple[str, float], ...]

    @property
    def grade(self) -> Grade:
        """It is only stated."""
        return "good"


@dataclass(frozen=True)
class NotRun(Finding):
    """Too few runs are finished.

    Attributes:
        strategy: the strategy that lacks them.
        twice: whether these are runs with twice the training.
        finished: its finished runs that recorded the judged metric.
        needed: how many it takes.
        metric: the judged metric.
    """

    strategy: str
    twice: bool
    finished: int
    needed: int
    metric: str = ACCURACY

    @property
    def grade(self) -> Grade:
        """Nothing is known."""
        return "unknown"


@dataclass(frozen=True)
class Verdict(Fact):
    """Whether a task is worth its minutes.

    Attributes:
        worth: yes, or no; None if nothing says no, but something could not be measured.
        faults: kinds of the findings that say no.
        remarks: kinds of the findings that one should know.
        unknown: kinds of the findings that a yes would need.
    """

    worth: bool | None
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    unknown: tuple[str, ...]


def verdict(findings: tuple[Finding, ...]) -> Verdict:
    """Return the verdict that follows from a task's findings."""

    def kinds(grade: Grade) -> tuple[str, ...]:
        found = (one for one in findings if one.grade == grade)
        needed = (one.kind() for one in found if grade != "unknown" or one.NEEDED)
        return tuple(dict.fromkeys(needed))

    faults, unknown = kinds("fault"), kinds("unknown")
    worth = False if faults else None if unknown else True
    return Verdict(worth, faults, kinds("remark"), unknown)
