"""Running live runs together: their training requests are answered by one engine call."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace

from fal_bench.errors import message_of
from fal_bench.federation.guarded import Guard, guarded, is_built_in
from fal_bench.federation.loop import Run
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.learning.engine import train
from fal_bench.learning.request import Trained, TrainRequest, trainer_of
from fal_bench.results.marks import Marks

Requests = dict[str, TrainRequest]


def run_together(
    runs: Mapping[str, Run],
    on_failure: Callable[[str, str, str], None],
    marks: Mapping[str, Marks] | None = None,
) -> None:
    """Compute runs to their ends; one that raises is reported and does not stop the others.

    Args:
        runs: the runs by key, not started yet.
        on_failure: called with the key, one sentence, and the traceback.
        marks: where it is marked that a plugin's trainer is at work for a run, by key; None
            marks nothing.
    """

    def advance(key: str, answer: Trained | None) -> None:
        run = runs[key]
        try:
            waiting[key] = next(run) if answer is None else run.send(answer)
        except StopIteration:
            waiting.pop(key, None)
        except BaseException as error:
            let_interrupts_pass(error)
            fail(key, error)

    def fail(key: str, error: BaseException) -> None:
        waiting.pop(key, None)
        on_failure(key, message_of(error), "".join(traceback.format_exception(error)))

    def answer_together(requests: Requests) -> None:
        states = _states(requests)
        try:
            answers = _train(requests, marks)
        except BaseException as error:
            let_interrupts_pass(error)
            if len(requests) == 1:
                [key] = requests
                fail(key, error)
                return
            # Something in this company cannot be trained; alone, everyone gets the same bits.
            _set_states(requests, states)
            for key, request in requests.items():
                answer_together({key: request})
            return
        for key, answer in zip(requests, answers, strict=True):
            advance(key, answer)

    waiting: Requests = {}
    for key in runs:
        advance(key, None)
    while waiting:
        for requests in _by_origin(waiting):
            answer_together(requests)


def _by_origin(waiting: Requests) -> list[Requests]:
    """Part the requests by whether a plugin's code trains: only that has a time limit."""
    parts: dict[bool, Requests] = {}
    for key, request in waiting.items():
        parts.setdefault(is_built_in(trainer_of(request.training)), {})[key] = request
    return list(parts.values())


def _train(requests: Requests, marks: Mapping[str, Marks] | None) -> list[Trained]:
    if all(is_built_in(trainer_of(request.training)) for request in requests.values()):
        return train(list(requests.values()))
    with _marked(requests, marks) as watched:
        return train(watched)


@contextmanager
def _marked(
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


def _states(requests: Requests) -> list[dict[str, object]]:
    """Return the states of all random streams that a training draws from."""
    return [dict(lane.rng.bit_generator.state) for one in requests.values() for lane in one.lanes]


def _set_states(requests: Requests, states: list[dict[str, object]]) -> None:
    lanes = [lane for one in requests.values() for lane in one.lanes]
    for lane, state in zip(lanes, states, strict=True):
        lane.rng.bit_generator.state = state
