"""Target accuracies as users write them: a number, or ``auto``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from fal_bench.errors import InvalidSpecError

Target = float | Literal["auto"]
"""A target accuracy, or ``"auto"``: what the baseline reaches at parts of the budget cap."""

DEFAULT_TARGETS: tuple[Target, ...] = (0.5,)
"""The targets where neither the user nor the suite names any."""


def parse_targets(values: Iterable[object], where: str) -> tuple[Target, ...]:
    """Return the distinct targets among ``values``, in order.

    Args:
        values: numbers, or text that holds a number or ``auto``.
        where: what they were given as, for messages: ``"target_acc"``.

    Raises:
        InvalidSpecError: there is none, or one is neither an accuracy nor ``auto``.
    """
    targets = tuple(dict.fromkeys(_target(str(value).strip(), where) for value in values))
    if not targets:
        raise InvalidSpecError(f"{where} needs at least one accuracy; write 0.5 for 50 %.")
    return targets


def _target(text: str, where: str) -> Target:
    if text == "auto":
        return "auto"
    try:
        accuracy = float(text)
    except ValueError:
        raise InvalidSpecError(
            f"{where} cannot be {text!r}; write accuracies such as 0.5, or auto."
        ) from None
    if not 0 < accuracy <= 1:
        raise InvalidSpecError(
            f"{where} must be above 0 and at most 1, not {accuracy:g}; write 0.5 for 50 %."
        )
    return accuracy
