"""The one function that trains: requests in, trained weights out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from fal_bench.learning.blocks import has_blocks, train_blocks, within_memory
from fal_bench.learning.device import CUDA, wait_for
from fal_bench.learning.graphed import train_graphed
from fal_bench.learning.model import Architecture
from fal_bench.learning.network import is_ours
from fal_bench.learning.request import Lane, Trained, TrainedLane, TrainRequest, trainer_of
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.plugins.needs import LocalTraining
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY

Engine = Literal["stacked", "sequential", "graphed", "blocks"]

ENGINES: Final[dict[Engine, Callable[..., tuple[TrainedLane, ...]]]] = {
    "stacked": train_stacked,
    "sequential": train_sequentially,
    "graphed": train_graphed,
    "blocks": train_blocks,
}


def engine_of(architecture: Architecture) -> Engine:
    """Return the engine that trains an architecture: what its model's traits and device say."""
    limit = architecture.traits.stacked_pixels
    _, height, width = architecture.input_shape
    if limit is None or height * width <= limit:
        return "stacked"
    if architecture.device != CUDA or not is_ours(architecture.network):
        return "sequential"
    return "blocks" if has_blocks(architecture.network) else "graphed"


def train(requests: Sequence[TrainRequest]) -> list[Trained]:
    """Answer training requests, of any runs and in any company, in order.

    Requests of one architecture and recipe are trained together; requests with the same key are
    trained once. A request's result depends on nothing but the request itself: the same bits
    alone or beside others, given one CPU thread, the same processor type and the same versions.
    """
    answers: dict[int, Trained] = {}
    first: dict[tuple[str, bool], int] = {}
    source = [
        number
        if request.key is None
        else first.setdefault((request.key, request.keep_epochs), number)
        for number, request in enumerate(requests)
    ]
    distinct = [number for number in range(len(requests)) if source[number] == number]
    for together in _alike(requests, distinct):
        merged = _train_together([requests[number] for number in together])
        answers.update(zip(together, merged, strict=True))
    return [answers[number] for number in source]


def _alike(requests: Sequence[TrainRequest], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of requests that one engine call can answer."""
    groups: dict[tuple[Architecture, LocalTraining, Engine, bool], list[int]] = {}
    for number in numbers:
        request = requests[number]
        what = (request.architecture, request.training, _engine_for(request), request.keep_epochs)
        groups.setdefault(what, []).append(number)
    yield from groups.values()


def _train_together(requests: Sequence[TrainRequest]) -> list[Trained]:
    """Answer requests of one architecture and recipe."""
    architecture, training = requests[0].architecture, requests[0].training
    keep_epochs = requests[0].keep_epochs
    lanes = [lane for request in requests for lane in request.lanes]
    train_lanes = ENGINES[_engine_for(requests[0])]
    started = time.perf_counter()
    trained = train_lanes(
        architecture.network, training, lanes, architecture.n_classes, keep_epochs
    )
    wait_for(architecture.device)
    seconds = time.perf_counter() - started
    updates = [_updates(request.lanes, training) for request in requests]
    per_update = seconds / max(sum(updates), 1)
    answers = []
    taken = 0
    for request, own in zip(requests, updates, strict=True):
        own_lanes = trained[taken : taken + len(request.lanes)]
        taken += len(request.lanes)
        weights = tuple(lane.weights for lane in own_lanes)
        epochs = tuple(lane.epochs for lane in own_lanes) if keep_epochs else ()
        momenta = tuple(lane.momenta for lane in own_lanes)
        answers.append(Trained(weights, own * per_update, epochs, momenta))
    return answers


def _engine_for(request: TrainRequest) -> Engine:
    """Return the engine that answers a request: recorded steps know nothing but SGD."""
    engine, training = engine_of(request.architecture), request.training
    if engine not in ("graphed", "blocks"):
        return engine
    # A loss that is not known may wait for its own results.
    known = trainer_of(training) == CROSS_ENTROPY and training.adam is None
    lanes = any(one.correction is not None or one.momenta is not None for one in request.lanes)
    if not known or training.proximal or lanes:
        return "sequential"
    network = request.architecture.network
    if engine == "blocks" and not within_memory(network, training, request.lanes):
        return "sequential"
    return engine


def _updates(lanes: Sequence[Lane], training: LocalTraining) -> int:
    """Return the updates of all lanes in one epoch."""
    return sum(-(-lane.count // training.batch_size) for lane in lanes)
