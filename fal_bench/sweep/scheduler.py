"""Running live cells together: their training requests are answered by one engine call."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping

from fal_bench.errors import FalbenchError
from fal_bench.federation.cell import Cell
from fal_bench.learning.engine import train
from fal_bench.learning.request import Trained, TrainRequest


def run_together(
    cells: Mapping[str, Cell],
    on_failure: Callable[[str, str, str], None],
) -> None:
    """Run cells to their ends; one that raises is reported and does not stop the others.

    Args:
        cells: the cells by key, not started yet.
        on_failure: called with the key, one sentence, and the traceback.
    """

    def advance(key: str, answer: Trained | None) -> None:
        cell = cells[key]
        try:
            waiting[key] = next(cell) if answer is None else cell.send(answer)
        except StopIteration:
            waiting.pop(key, None)
        except Exception as error:
            waiting.pop(key, None)
            known = isinstance(error, FalbenchError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            on_failure(key, reason, traceback.format_exc())

    waiting: dict[str, TrainRequest] = {}
    for key in cells:
        advance(key, None)
    while waiting:
        keys = list(waiting)
        answers = train([waiting[key] for key in keys])
        for key, answer in zip(keys, answers, strict=True):
            advance(key, answer)
