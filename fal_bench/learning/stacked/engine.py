"""Training many lanes of one network by one recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fal_bench.arrays import IntArray
from fal_bench.learning.chance import dropout_of
from fal_bench.learning.device import CPU
from fal_bench.learning.kernels.autograd import AutogradStep
from fal_bench.learning.kernels.batch import Batch, Outcome
from fal_bench.learning.kernels.chain import chain_of
from fal_bench.learning.kernels.cnn import CnnStep
from fal_bench.learning.kernels.even import EvenNetwork
from fal_bench.learning.kernels.mlp import MlpStep
from fal_bench.learning.kernels.sgd import Pace, StackedState, copies_kept, pace_of, write_rows
from fal_bench.learning.model import Weights
from fal_bench.learning.request import Lane, Momenta, TrainedLane, padded_rows
from fal_bench.learning.stacked.slots import Occupant, Slots
from fal_bench.plugins.needs import LocalTraining

MEMORY_BUDGET = 256 * 2**20
"""Bytes that the samples of one call, and the weights of one block, may take in memory."""

BLOCK_BYTES = 5 * 2**20
"""Bytes of weights and velocities that a block may take on a processor; more leave its cache."""

NARROWEST = 8
WIDEST = 32
WIDEST_CONVOLUTION = 20
"""Fewest and most slots of a block on a processor: fewer pay more for every step's overhead."""


class Step(Protocol):
    """One step of all slots of a block.

    Attributes:
        state: the layout in which it keeps the weights.
    """

    state: type[StackedState]

    def __call__(self, state: StackedState, batch: Batch, pace: Pace) -> Outcome:
        """Take the step; return what the network said before it."""

    def logits(self, state: StackedState, batch: Batch) -> Tensor:
        """Return what the network says, shape (slots, rows, outputs)."""


def train_stacked(
    network: nn.Module,
    training: LocalTraining,
    lanes: Sequence[Lane],
    n_classes: int,
    keep_epochs: bool = False,
) -> tuple[TrainedLane, ...]:
    """Train every lane and return its weights, in order.

    Args:
        network: gives the layers; its own weights are not used.
        training: the recipe.
        lanes: the trainings.
        n_classes: number of classes.
        keep_epochs: whether to keep the weights after every epoch.
    """
    even = EvenNetwork(network)
    step = step_of(even.network, training)
    device = next(network.parameters()).device
    trained: dict[int, TrainedLane] = {}
    # One tensor a parameter with a row a lane, which a server can average as it is.
    ends = {
        name: like.new_empty(len(lanes), *like.shape) for name, like in network.state_dict().items()
    }
    by_lane = zip(*(rows.unbind() for rows in ends.values()), strict=True)
    own = [dict(zip(ends, rows, strict=True)) for rows in by_lane]
    for numbers in _alike(lanes, training):
        block = [lanes[number] for number in numbers]
        width = _equal_width(len(block), _widest(network, training))
        slots = Slots(
            block, training, width, n_classes, device, dropout_of(network), watched=keep_epochs
        )
        for occupants, weights, momenta in _train_block(even, training, step, slots, keep_epochs):
            places = [numbers[one.number] for one in occupants]
            for name, rows in weights.items():
                write_rows(ends[name], places, rows)
            for place, occupant, memory in zip(places, occupants, momenta, strict=True):
                trained[place] = TrainedLane(own[place], tuple(occupant.epochs), memory)
    return tuple(
        trained.get(number) or TrainedLane(lane.start, momenta=lane.momenta)
        for number, lane in enumerate(lanes)
    )


def step_of(network: nn.Module, training: LocalTraining) -> Step:
    """Return the fastest step for a network and a recipe.

    Raises:
        TypeError: a layer of the network cannot be stacked.
    """
    chain = chain_of(network)
    fast = MlpStep.of(chain, training) or CnnStep.of(chain, training)
    return fast or AutogradStep(chain, training)


def _train_block(
    even: EvenNetwork, training: LocalTraining, step: Step, slots: Slots, keep_epochs: bool
) -> Iterator[tuple[list[Occupant], Weights, list[Momenta | None]]]:
    """Train the lanes of one block.

    Yields:
        Lanes that are done, their weights, stacked, and what their optimisers remember. The
        weights are valid until the next ones are asked for.
    """
    corrected = slots.occupants[0].lane.correction is not None
    state = step.state(even.network, training, len(slots.occupants), corrected)
    device = next(even.network.parameters()).device
    _load(state, list(enumerate(slots.occupants)), even)
    while slots.live:
        batch = slots.batch()
        outcome = step(state, batch, pace_of(training, slots.updates, device))
        ended = slots.advance(None if training.patience is None else outcome.total_losses)
        if not ended:
            continue
        correct = np.zeros(len(ended), dtype=np.int64)
        if training.stop_at_accuracy is not None:
            correct = _correct(step, state, slots, ended)
        done = []
        for slot, occupant in slots.end_epoch(ended, correct):
            if keep_epochs:
                occupant.epochs.append(_first(even.narrow(state.read([slot]))))
            if occupant.done:
                done.append(slot)
        if done:
            yield (
                [slots.occupants[slot] for slot in done],
                even.narrow(state.read(done)),
                [_momenta(state, slots, slot, even) for slot in done],
            )
            _load(state, list(slots.refill()), even)
            live = slots.live
            if 0 < len(live) < len(slots.occupants):
                slots.keep(live)
                state.keep(live)


def _correct(step: Step, state: StackedState, slots: Slots, ended: list[int]) -> IntArray:
    """Return how many samples of some slots are classified correctly, in evaluation mode.

    The count ends where no slot can reach the number that it needs any more.
    """
    some = state if len(ended) == len(slots.occupants) else state.at(ended)
    occupants = [slots.occupants[slot] for slot in ended]
    needed = np.array([one.stopping.needed for one in occupants])
    left = np.array([one.count for one in occupants])
    correct: IntArray = np.zeros(len(ended), dtype=np.int64)
    for batch in slots.epoch(ended):
        correct += batch.correct(step.logits(some, batch))
        left -= batch.counts
        if np.all(correct + left < needed):
            break
    return correct


def _load(
    state: StackedState, newcomers: Sequence[tuple[int, Occupant]], even: EvenNetwork
) -> None:
    """Start lanes in their slots; those that start alike, as clients of a round do, at once."""
    alike: dict[int, list[int]] = {}
    for slot, occupant in newcomers:
        if state.pull or occupant.lane.momenta is not None:
            _load_one(state, slot, occupant.lane, even)
        else:
            alike.setdefault(id(occupant.lane.start), []).append(slot)
    starts = {id(occupant.lane.start): occupant.lane.start for _, occupant in newcomers}
    for start, slots in alike.items():
        state.load_alike(slots, even.widen(starts[start]))


def _load_one(state: StackedState, slot: int, lane: Lane, even: EvenNetwork) -> None:
    """Start a lane in a slot."""
    correction = None if lane.correction is None else even.widen(lane.correction)
    momenta = lane.momenta
    if momenta is not None:
        momenta = Momenta(momenta.steps, even.widen(momenta.first), even.widen(momenta.second))
    state.load(slot, even.widen(lane.start), correction, momenta)


def _momenta(state: StackedState, slots: Slots, slot: int, even: EvenNetwork) -> Momenta | None:
    """Return what the optimiser of a lane remembers, if it is to be known."""
    if slots.occupants[slot].lane.momenta is None:
        return None
    first, second = (_first(even.narrow(one)) for one in state.momenta([slot]))
    return Momenta(int(slots.updates[slot]), first, second)


def _first(stacked: Weights) -> Weights:
    """Return a copy of the first row of stacked weights."""
    return {
        name: one[0].clone(memory_format=torch.contiguous_format) for name, one in stacked.items()
    }


def _alike(lanes: Sequence[Lane], training: LocalTraining) -> Iterator[list[int]]:
    """Yield the numbers of lanes that can share a block; lanes without samples are left out."""
    by_rows: dict[tuple[int, bool], list[int]] = {}
    for number, lane in enumerate(lanes):
        if lane.count:
            rows = padded_rows(lane.count, training.batch_size)
            by_rows.setdefault((rows, lane.correction is None), []).append(number)
    for numbers in by_rows.values():
        chunk: list[int] = []
        taken = 0
        for number in numbers:
            lane = lanes[number]
            size = lane.features.nbytes
            size += 0 if lane.unlabelled is None else lane.unlabelled.nbytes
            if chunk and taken + size > MEMORY_BUDGET:
                yield chunk
                chunk, taken = [], 0
            chunk.append(number)
            taken += size
        yield chunk


def _equal_width(lanes: int, widest: int) -> int:
    """Return the slots of a block that trains lanes in turns of about equal width."""
    return -(-lanes // -(-lanes // widest))


def _widest(network: nn.Module, training: LocalTraining) -> int:
    """Return the most slots of a block: as many as stay in a processor's cache."""
    weights: int = sum(tensor.nbytes for tensor in network.state_dict().values())
    # Weights, gradients and velocities have to fit into memory at the very least.
    affordable = max(1, MEMORY_BUDGET // max(3 * weights, 1))
    if next(network.parameters()).device.type != CPU:
        return affordable
    convolves = any(isinstance(module, nn.Conv2d) for module in network.modules())
    cached = BLOCK_BYTES // max(weights * copies_kept(training), 1)
    widest = WIDEST_CONVOLUTION if convolves else WIDEST
    return min(max(cached, NARROWEST), widest, affordable)
