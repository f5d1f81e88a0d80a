"""Targets as users write them: an accuracy, another metric's value, or ``auto``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from fal_bench.errors import InvalidSpecError, shown
from fal_bench.inputs.limits import MOST_TARGETS

ACCURACY = "accuracy"
AUTO = "auto"

_NAMED = re.compile(r"(?P<metric>[A-Za-z_][\w-]*)\s*=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """What a strategy's curve must reach.

    Attributes:
        value: the value; None for a ladder of them: steps of the baseline's rise between its
            initial labels and the budget cap.
        metric: the metric that must reach it.
    """

    value: float | None
    metric: str = ACCURACY

    @property
    def plain(self) -> float | str:
        """The target as JSON has it: a number for an accuracy, else text."""
        if self.metric != ACCURACY:
            return str(self)
        return AUTO if self.value is None else self.value

    def __str__(self) -> str:
        value = AUTO if self.value is None else str(self.value)
        return value if self.metric == ACCURACY else f"{self.metric}={value}"


DEFAULT_TARGETS = (Target(None),)
"""The targets where neither the user nor the suite names any."""


def parse_targets(
    values: Iterable[object], where: str, *, named: bool | None = None
) -> tuple[Target, ...]:
    """Return the distinct targets among ``values``, in order.

    Args:
        values: numbers, or text that holds a number, ``auto``, or ``metric=value``, in which
            hyphens and underscores are the same.
        where: what they were given as, for messages: ``"target_acc"``.
        named: whether they must name their metric; if None, they may.

    Raises:
        InvalidSpecError: there is none, or one cannot be used.
    """
    targets = tuple(dict.fromkeys(_target(str(value).strip(), where, named) for value in values))
    if not targets:
        raise InvalidSpecError(f"{where} needs at least one accuracy; write 0.5 for 50 %.")
    if len(targets) > MOST_TARGETS:
        raise InvalidSpecError(
            f"{where} cannot be {len(targets)} targets; name at most {MOST_TARGETS}."
        )
    return targets


def _target(text: str, where: str, named: bool | None) -> Target:
    match = _NAMED.fullmatch(text)
    if named and not match:
        raise InvalidSpecError(
            f"{where} cannot be {shown(text)}; write metric=value, as in loss=0.8."
        )
    if match and named is not False:
        metric, text = match["metric"].replace("-", "_"), match["value"].strip()
    else:
        metric = ACCURACY
    if text == AUTO:
        return Target(None, metric)
    try:
        value = float(text)
    except ValueError:
        example = "accuracies such as 0.5, or auto" if metric == ACCURACY else f"{metric}=0.5"
        raise InvalidSpecError(f"{where} cannot be {shown(text)}; write {example}.") from None
    if metric == ACCURACY and not 0 < value <= 1:
        raise InvalidSpecError(
            f"{where} must be above 0 and at most 1, not {value:g}; write 0.5 for 50 %."
        )
    if not math.isfinite(value):
        raise InvalidSpecError(f"{where}: {metric} must be a finite number, not {value:g}.")
    return Target(value, metric)
