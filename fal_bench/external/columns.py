"""The columns of a file of external curves, and what each of them may hold."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Measured:
    """One row of an external curve: the model trained with those labels.

    Attributes:
        task: name of the task.
        strategy: name of the strategy.
        seed: number of the run.
        cycle: number of the cycle, by which the rows of a run are ordered.
        labels: paper labels over all clients.
        labels_strict: strict labels over all clients; None if unknown.
        accuracy: test accuracy of the global model.
        precision: class precisions weighted by the true class frequencies; None if unknown.
        loss: test cross-entropy, in nats; None if unknown.
        bytes_up: bytes from all clients to the server; None if unknown.
        bytes_down: bytes from the server to all clients; None if unknown.
        train_seconds: seconds of federated training; None if unknown.
        select_seconds: seconds of selection; None if unknown.
        task_hash: falbench's hash of the task; None if the file does not give it.
        reference: whether the strategy is a yardstick that sees true labels.
    """

    task: str
    strategy: str
    seed: int
    cycle: int
    labels: int
    labels_strict: int | None
    accuracy: float
    precision: float | None
    loss: float | None
    bytes_up: int | None
    bytes_down: int | None
    train_seconds: float | None
    select_seconds: float | None
    task_hash: str | None
    reference: bool | None

    @classmethod
    def columns(cls) -> list[str]:
        """Return the names of the columns, in order."""
        return [field.name for field in fields(cls)]


REQUIRED = ("task", "strategy", "seed", "labels", "accuracy")


def _name(text: str) -> str:
    if not text.isprintable() or len(text) > _LONGEST_NAME:
        raise ValueError(f"a name must be printable and at most {_LONGEST_NAME} characters long")
    return text


def _whole(text: str) -> int:
    # Spreadsheets and pandas write whole numbers as 100.0 beside an empty run.
    number = float(text) if re.fullmatch(r"[0-9]+(\.0*)?", text) else math.nan
    if not number.is_integer():
        raise ValueError(f"{text!r} is not a whole number of at least 0")
    return int(number)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    return number


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        hint = "; write 0.62 for 62 %" if 1 < number <= 100 else ""
        raise ValueError(f"{text} is not between 0 and 1{hint}")
    return number


def _amount(text: str) -> float:
    number = _number(text)
    if number < 0:
        raise ValueError(f"{text} is below 0")
    return number


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError("a task hash has 64 hexadecimal digits; leave it empty if there is none")
    return text


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


READERS: dict[str, Callable[[str], Any]] = {
    "task": _name,
    "strategy": _name,
    "seed": _whole,
    "cycle": _whole,
    "labels": _whole,
    "labels_strict": _whole,
    "accuracy": _share,
    "precision": _share,
    "loss": _amount,
    "bytes_up": _whole,
    "bytes_down": _whole,
    "train_seconds": _amount,
    "select_seconds": _amount,
    "task_hash": _hash,
    "reference": _truth,
}
"""How a value is read, by column; each raises ``ValueError`` with a reason."""
