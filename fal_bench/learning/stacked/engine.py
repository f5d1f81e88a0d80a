"""Training many lanes of one network by one recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from torch import Tensor, nn

from fal_bench.learning.model import Weights
from fal_bench.learning.request import Lane
from fal_bench.learning.stacked.autograd import AutogradStep
from fal_bench.learning.stacked.batch import Batch
from fal_bench.learning.stacked.cnn import CnnStep
from fal_bench.learning.stacked.mlp import MlpStep
from fal_bench.learning.stacked.sgd import learning_rates
from fal_bench.learning.stacked.slots import Slots, padded_rows
from fal_bench.learning.stacked.state import StackedState
from fal_bench.learning.stacked.vmap import VmapStep
from fal_bench.needs import LocalTraining

MEMORY_BUDGET = 256 * 2**20
"""Bytes that the samples of one call, and the weights of one block, may take."""

WIDEST = 32
WIDEST_CONVOLUTION = 20
"""Most slots of a block whose width is free; wider ones fall out of the cache."""


class Step(Protocol):
    """One SGD step of all slots of a block.

    Attributes:
        state: the layout in which it keeps the weights.
        fixed_width: the number of slots if bits depend on it; None if they do not.
    """

    state: type[StackedState]
    fixed_width: int | None

    def __call__(self, state: StackedState, batch: Batch, lr: float | Tensor) -> Tensor:
        """Take the step; return the logits before it, shape (slots, rows, classes)."""


def train_stacked(
    network: nn.Module, training: LocalTraining, lanes: Sequence[Lane]
) -> tuple[Weights, ...]:
    """Train every lane and return its weights, in order.

    Args:
        network: gives the layers; its own weights are not used.
        training: the recipe.
        lanes: the trainings.
    """
    step = step_of(network, training)
    trained: list[Weights] = [lane.start for lane in lanes]
    for numbers in _alike(lanes, training):
        block = [lanes[number] for number in numbers]
        width = step.fixed_width or _even_width(len(block), _widest(network))
        for place, weights in _run(network, training, step, block, width):
            trained[numbers[place]] = weights
    return tuple(trained)


def step_of(network: nn.Module, training: LocalTraining) -> Step:
    """Return the fastest step that knows all layers of a network."""
    return (
        MlpStep.of(network, training)
        or CnnStep.of(network, training)
        or AutogradStep.of(network, training)
        or VmapStep(network, training)
    )


def _run(
    network: nn.Module, training: LocalTraining, step: Step, lanes: Sequence[Lane], width: int
) -> Iterator[tuple[int, Weights]]:
    """Train lanes in one block; yield each lane's place and weights when it is done."""
    slots = Slots(lanes, training, width)
    state = step.state(network, training, width)
    for slot, newcomer in slots.fill():
        state.load(slot, newcomer.lane.start)
    while slots.busy:
        batch = slots.batch()
        logits = step(state, batch, learning_rates(training, slots.updates))
        correct = None if training.stop_at_accuracy is None else batch.correct(logits)
        done = slots.advance(correct)
        for slot, occupant in done:
            yield occupant.number, state.read(slot)
        if done:
            for slot, newcomer in slots.fill():
                state.load(slot, newcomer.lane.start)
            live = slots.live
            if step.fixed_width is None and live and len(live) < len(slots.occupants):
                slots.keep(live)
                state.keep(live)


def _alike(lanes: Sequence[Lane], training: LocalTraining) -> Iterator[list[int]]:
    """Yield the numbers of lanes that can share a block; lanes without samples are left out."""
    by_rows: dict[int, list[int]] = {}
    for number, lane in enumerate(lanes):
        if len(lane.labels):
            rows = padded_rows(len(lane.labels), training.batch_size)
            by_rows.setdefault(rows, []).append(number)
    for numbers in by_rows.values():
        chunk: list[int] = []
        taken = 0
        for number in numbers:
            size = lanes[number].features.nbytes
            if chunk and taken + size > MEMORY_BUDGET:
                yield chunk
                chunk, taken = [], 0
            chunk.append(number)
            taken += size
        yield chunk


def _even_width(lanes: int, widest: int) -> int:
    """Return the slots of a block that trains lanes in turns of about equal width."""
    return -(-lanes // -(-lanes // widest))


def _widest(network: nn.Module) -> int:
    """Return the most slots whose weights, gradients and velocities fit into the budget."""
    lane: int = 3 * sum(tensor.nbytes for tensor in network.state_dict().values())
    convolves = any(isinstance(module, nn.Conv2d) for module in network.modules())
    widest = WIDEST_CONVOLUTION if convolves else WIDEST
    return max(1, min(widest, MEMORY_BUDGET // max(lane, 1)))
