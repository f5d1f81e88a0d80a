"""The engine of a GPU: a training step is recorded once as a CUDA graph and replayed.

A step of a small network is many short kernels, and launching them one by one takes a processor
longer than a GPU takes to run them. A recorded step is one launch. Each lane has a slot with a
network, a stream and graphs of its own, so that the lanes of a federation run side by side, and a
lane has the same bits in any company.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fal_bench.arrays import BoolArray, FloatArray, IntArray
from fal_bench.learning.chance import distort
from fal_bench.learning.course import Course
from fal_bench.learning.device import NUMBERS, Numbers, arithmetic
from fal_bench.learning.inference import correct_by_batch
from fal_bench.learning.model import Weights
from fal_bench.learning.network import Network
from fal_bench.learning.request import Lane, TrainedLane
from fal_bench.plugins.needs import LocalTraining

SLOTS = 16
"""Most lanes that run side by side."""

WARM_UP = 3
"""Steps before one is recorded, in which libraries choose their kernels and reserve memory."""


def train_graphed(
    network: Network,
    training: LocalTraining,
    lanes: Sequence[Lane],
    n_classes: int,  # noqa: ARG001 - as the other engines
    keep_epochs: bool = False,
    numbers: Numbers = NUMBERS,
) -> tuple[TrainedLane, ...]:
    """Train every lane and return its weights, in order.

    Args:
        network: gives the layers; its own weights are not used.
        training: the recipe, whose loss is cross-entropy.
        lanes: the trainings.
        n_classes: number of classes.
        keep_epochs: whether to keep the weights after every epoch.
        numbers: what a step is computed with.
    """
    trained = [TrainedLane(lane.start) for lane in lanes]
    slots = _slots_of(network, training, numbers)
    filled = [number for number, lane in enumerate(lanes) if len(lane.labels)]
    for first in range(0, len(filled), SLOTS):
        some = filled[first : first + SLOTS]
        while len(slots) < len(some):
            slots.append(_Slot(network, training, numbers))
        runs = [
            _Run(slot, lanes[number], training, keep_epochs)
            for slot, number in zip(slots, some, strict=False)
        ]
        torch.cuda.synchronize()  # what the slots were filled with is there
        going = runs
        while going:
            for run in going:
                run.draw_epoch()
            for run in _in_turn(going):
                run.step()
            for run in going:
                run.measure()
            going = [run for run in going if not run.end_epoch()]
        torch.cuda.synchronize()
        for number, run in zip(some, runs, strict=True):
            trained[number] = TrainedLane(run.slot.weights(), tuple(run.epochs))
    return tuple(trained)


def _in_turn(runs: Sequence[_Run]) -> list[_Run]:
    """Return each run once a step of its epoch, the first steps of all before the second ones."""
    most = max(run.steps for run in runs)
    return [run for step in range(most) for run in runs if step < run.steps]


_SLOTS: dict[tuple[object, ...], list[_Slot]] = {}


def _slots_of(network: Network, training: LocalTraining, numbers: Numbers) -> list[_Slot]:
    """Return the slots of a network and of what a recorded step depends on.

    Those of the last two kinds are kept: a federation's, and that of local models.
    """
    kind = (
        network,
        training.momentum,
        training.weight_decay,
        training.patience is None,
        numbers,
    )
    slots = _SLOTS.pop(kind, [])
    while len(_SLOTS) > 1:
        _SLOTS.pop(next(iter(_SLOTS)))
    _SLOTS[kind] = slots
    return slots


@dataclass(frozen=True)
class _Recorded:
    """A recorded step.

    Attributes:
        graph: the step.
        positions: what it reads besides the slot's own tensors, kept for as long as it.
    """

    graph: torch.cuda.CUDAGraph
    positions: Tensor


class _Slot:
    """A network on the device with the graphs of its steps.

    Args:
        network: is copied.
        training: momentum, weight decay, and what is counted.
        numbers: what a step is computed with.
    """

    def __init__(self, network: Network, training: LocalTraining, numbers: Numbers) -> None:
        self._training = training
        self._numbers: Numbers = numbers
        self.network = copy.deepcopy(network).train().to(memory_format=torch.channels_last)
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._velocity = [torch.zeros_like(one) for one in self._parameters]
        self._state = self.network.state_dict()
        device, dtype = network.head.weight.device, network.head.weight.dtype
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._graphs: dict[int, _Recorded] = {}
        self._place = torch.zeros((), dtype=torch.int64, device=device)
        self._lr = torch.zeros((), dtype=dtype, device=device)
        self._seen = torch.zeros(2, device=device)
        self._images = torch.zeros(0, dtype=dtype, device=device)
        self._labels = torch.zeros(0, dtype=torch.int64, device=device)
        self._masks = torch.zeros(0, dtype=dtype, device=device)

    def load(self, start: Weights) -> None:
        """Begin a training."""
        with torch.no_grad():
            for name, tensor in self._state.items():
                tensor.copy_(start[name])
            torch._foreach_zero_(self._velocity)

    def weights(self) -> Weights:
        """Return a copy of the weights."""
        return {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in self._state.items()
        }

    def reserve(self, count: int, shape: Sequence[int], masked: int, rows: Sequence[int]) -> None:
        """Make room for epochs of ``count`` samples in batches of ``rows``; record what is new.

        Args:
            count: samples.
            shape: (C, H, W) of one.
            masked: activations that dropout masks; 0 without dropout.
            rows: sizes of batches.
        """
        if count > len(self._labels):
            room = 1 << (count - 1).bit_length()
            channels, height, width = shape
            self._images = self._images.new_zeros(room, height, width, channels)
            self._labels = self._labels.new_zeros(room)
            self._masks = self._masks.new_zeros(room, masked)
            self._graphs.clear()
        for size in rows:
            if size not in self._graphs:
                self._graphs[size] = self._record(size)

    def fill(self, images: Tensor, labels: Tensor, masks: Tensor | None, lr: float) -> None:
        """Lay out an epoch's samples in their order, shape (n, C, H, W)."""
        count = len(labels)
        self._images[:count].copy_(images.permute(0, 2, 3, 1), non_blocking=True)
        self._labels[:count].copy_(labels, non_blocking=True)
        if masks is not None:
            self._masks[:count].copy_(masks, non_blocking=True)
        self._place.zero_()
        self._seen.zero_()
        self.set_lr(lr)

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the steps that follow."""
        self._lr.fill_(lr)

    def replay(self, rows: int) -> None:
        """Take the next step, of ``rows`` samples."""
        self._graphs[rows].graph.replay()

    @torch.no_grad()
    def measure(self, features: Tensor, labels: Tensor) -> None:
        """Count the correct predictions of the weights as they are now, in evaluation mode."""
        self.network.eval()
        if self.network.dropout is not None:
            self.network.dropout.mask = None
        counts = [hits for _, hits in correct_by_batch(self._evaluated, features, labels)]
        self._seen[0] = torch.stack(counts).sum()
        self.network.train()

    def seen(self) -> tuple[int, float]:
        """Return the correct predictions that were measured, and the sum of the epoch's losses."""
        correct, loss = self._seen.tolist()
        return round(correct), loss

    def _evaluated(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))
        return logits

    def _record(self, rows: int) -> _Recorded:
        positions = torch.arange(rows, device=self._place.device)
        torch.cuda.synchronize()
        with torch.cuda.stream(self.stream), arithmetic(self._numbers):
            for _ in range(WARM_UP):
                self._place.zero_()
                self._step(positions)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with arithmetic(self._numbers), torch.cuda.graph(graph, stream=self.stream):
            self._step(positions)
        return _Recorded(graph, positions)

    def _step(self, positions: Tensor) -> None:
        """Take a step with the samples at ``positions`` from the place on that was reached."""
        chosen = positions + self._place
        images = self._images.index_select(0, chosen).permute(0, 3, 1, 2)
        labels = self._labels.index_select(0, chosen)
        dropout = self.network.dropout
        if dropout is not None:
            dropout.mask = self._masks.index_select(0, chosen)
        logits: Tensor = self.network(images)
        loss = cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, self._parameters)
        with torch.no_grad():
            self._descend(list(gradients))
            if self._training.patience is not None:
                self._seen[1].add_(loss.detach() * len(positions))
            self._place.add_(len(positions))

    def _descend(self, update: list[Tensor]) -> None:
        """Move the parameters as ``torch.optim.SGD`` does."""
        recipe = self._training
        if recipe.weight_decay:
            update = list(torch._foreach_add(update, self._parameters, alpha=recipe.weight_decay))
        if recipe.momentum:
            torch._foreach_mul_(self._velocity, recipe.momentum)
            torch._foreach_add_(self._velocity, update)
            update = self._velocity
        torch._foreach_sub_(self._parameters, list(torch._foreach_mul(update, self._lr)))


class _Run:
    """The training of one lane in its slot."""

    def __init__(self, slot: _Slot, lane: Lane, training: LocalTraining, keep_epochs: bool) -> None:
        self.slot = slot
        self.epochs: list[Weights] = []
        self._training = training
        self._keep = keep_epochs
        dropout = slot.network.dropout
        self._course = Course(lane, training, dropout)
        self._sizes: list[int] = self._course.sizes.tolist()
        self._left: list[tuple[int, float]] = []
        self._rate = training.lr
        device = slot.network.head.weight.device
        self._features, self._labels = lane.features.to(device), lane.labels.to(device)
        width = 0 if dropout is None else dropout.width
        slot.reserve(lane.count, lane.features.shape[1:], width, sorted(set(self._sizes)))
        slot.load(lane.start)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self._course.steps

    def draw_epoch(self) -> None:
        """Draw the next epoch's order and distortions and lay its samples out."""
        drawn = self._course.draw()
        rates = self._course.rates().tolist()
        self._left = list(zip(self._sizes, rates, strict=True))[::-1]
        with torch.cuda.stream(self.slot.stream):
            chosen = _sent(drawn.order)
            images, labels = self._features[chosen], self._labels[chosen]
            if drawn.flips is not None and drawn.shifts is not None:
                images = distort(images, _sent(drawn.flips), _sent(drawn.shifts))
            masks = None if drawn.masks is None else _sent(drawn.masks)
            self.slot.fill(images, labels, masks, rates[0])
        self._rate = rates[0]

    def step(self) -> None:
        """Take the next step of the epoch."""
        size, rate = self._left.pop()
        with torch.cuda.stream(self.slot.stream):
            if rate != self._rate:
                self.slot.set_lr(rate)
            self.slot.replay(size)
        self._rate = rate

    def measure(self) -> None:
        """Count what the lane's samples are taken for after the epoch, if the recipe asks."""
        if self._training.stop_at_accuracy is not None:
            with torch.cuda.stream(self.slot.stream):
                self.slot.measure(self._features, self._labels)

    def end_epoch(self) -> bool:
        """Count an epoch; return whether it was the last one."""
        correct, loss = 0, 0.0
        with torch.cuda.stream(self.slot.stream):
            if self._keep:
                self.epochs.append(self.slot.weights())
            recipe = self._training
            if recipe.stop_at_accuracy is not None or recipe.patience is not None:
                correct, loss = self.slot.seen()
        return self._course.end_epoch(correct, loss)


def _sent(array: IntArray | FloatArray | BoolArray) -> Tensor:
    """Return an array on the GPU; the processor goes on while it travels."""
    return torch.from_numpy(array).pin_memory().to("cuda", non_blocking=True)
