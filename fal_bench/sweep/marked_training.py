"""Marking the runs whose training runs a plugin's code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace

from fal_bench.federation.guarded import Guard, guarded
from fal_bench.learning.request import TrainRequest, trainer_of
from fal_bench.results.marks import Marks


@contextmanager
def training_marked(
    requests: Mapping[str, TrainRequest], marks: Mapping[str, Marks] | None
) -> Iterator[list[TrainRequest]]:
    """Mark, while the context is open, that trainers of plugins are at work for these runs.

    They are trained together, so one clock, at the first of them, counts for all.

    Args:
        requests: what the runs ask for, by key.
        marks: the runs' marks, by key; None marks nothing.

    Yields:
        The requests, with trainers that set the clock.
    """
    with ExitStack() as opened:
        guard: Guard = nullcontext
        if marks is not None:
            first = next(iter(requests))
            clock = marks[first].clock
            opened.enter_context(clock.running())
            for key, request in requests.items():
                name = trainer_of(request.training).name
                opened.enter_context(marks[key].plugin_call(request.cycle, name, clock=first))
            guard = clock.call
        yield [_guarded(request, guard) for request in requests.values()]


def _guarded(request: TrainRequest, guard: Guard) -> TrainRequest:
    trainer = guarded(trainer_of(request.training), guard)
    return replace(request, training=replace(request.training, trainer=trainer))
