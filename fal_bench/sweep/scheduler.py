"""Running live runs together: their training requests are answered by one engine call."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace

from fal_bench.errors import StoreError, message_of
from fal_bench.federation.guarded import Guard, guarded, is_built_in
from fal_bench.federation.loop import Run
from fal_bench.isolation.calls import NO_CALLS, Call, Calls
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.learning.engine import train
from fal_bench.learning.request import Trained, TrainRequest, trainer_of

Requests = dict[str, TrainRequest]


def run_together(
    runs: Mapping[str, Run],
    on_failure: Callable[[str, str, str], None],
    calls: Calls = NO_CALLS,
) -> None:
    """Compute runs to their ends; one that raises is reported and does not stop the others.

    Args:
        runs: the runs by key, not started yet.
        on_failure: called with the key, one sentence, and the traceback.
        calls: the calls of this process, which a plugin's trainer is one of.

    Raises:
        StoreError: what a run came to cannot be written.
    """

    def advance(key: str, answer: Trained | None) -> None:
        run = runs[key]
        try:
            waiting[key] = next(run) if answer is None else run.send(answer)
        except StopIteration:
            waiting.pop(key, None)
        except StoreError:  # no run's fault
            raise
        except BaseException as error:
            let_interrupts_pass(error)
            fail(key, error)

    def fail(key: str, error: BaseException) -> None:
        waiting.pop(key, None)
        on_failure(key, message_of(error), "".join(traceback.format_exception(error)))

    def answer_together(requests: Requests) -> None:
        states = _states(requests)
        try:
            answers = _train(requests, calls)
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
        for requests in _by_trainer(waiting):
            answer_together(requests)


def _by_trainer(waiting: Requests) -> list[Requests]:
    """Part the requests by the plugin's trainer at work: only plugins have a time limit."""
    parts: dict[str | None, Requests] = {}
    for key, request in waiting.items():
        trainer = trainer_of(request.training)
        parts.setdefault(None if is_built_in(trainer) else trainer.name, {})[key] = request
    return list(parts.values())


def _train(requests: Requests, calls: Calls) -> list[Trained]:
    """Train, and say of a plugin's trainer that it is at work, step by step."""
    first = next(iter(requests.values()))
    trainer = trainer_of(first.training)
    if is_built_in(trainer):
        return train(list(requests.values()))
    who, where = f"Trainer {trainer.name!r}", f"cycle {first.cycle}"
    with calls.open(Call(who, where, tuple(requests), steps=True)):
        return train([_guarded(request, calls.step) for request in requests.values()])


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
