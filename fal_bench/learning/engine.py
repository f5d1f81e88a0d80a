"""The one function that trains: requests in, trained weights out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fal_bench.learning.request import Trained, TrainRequest
from fal_bench.learning.sequential import train_sequentially


def train(requests: Sequence[TrainRequest]) -> list[Trained]:
    """Answer training requests, of any cells and in any company, in order.

    A request's result depends on nothing but the request itself: the same bits alone or beside
    others, given one CPU thread and the same versions.
    """
    answers = []
    for request in requests:
        started = time.perf_counter()
        weights = train_sequentially(request)
        answers.append(Trained(weights, time.perf_counter() - started))
    return answers
