"""The engine of a GPU for networks of convolution blocks: all lanes take each step together.

A step of a small network leaves most of a GPU idle, so each kernel of a step works on all lanes
(``fal_bench.learning.kernels.blocks``), and a step is recorded once as a CUDA graph and replayed. A
lane has the same bits in any company.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fal_bench.arrays import IntArray
from fal_bench.learning.course import Course, Drawn
from fal_bench.learning.device import CUDA, NUMBERS, Numbers
from fal_bench.learning.model import Weights
from fal_bench.learning.network import BLOCK, Network
from fal_bench.learning.request import Lane, TrainedLane
from fal_bench.plugins.needs import LocalTraining

if TYPE_CHECKING:
    from types import ModuleType

LANES = 40
"""Most lanes that are trained together; more gain little and take memory."""

MEMORY = 16 * 2**30
"""Bytes that the activations and samples of all lanes may take, at 8 a number. What one lane has
can then be counted with 32 bits, as kernels do."""

CLASSES = 512
"""Most classes of a head: the product of a head with more does not fit into a multiprocessor."""

ROOM = 64
"""Epochs have room for a multiple of so many samples, whatever the company."""

PROGRAMS = 128
"""Most parts of a sum over a batch."""

SPLIT = 2048
"""Pixels of a batch for each part of a convolution's gradient."""

PARTS = 32
"""Most parts of a convolution's gradient."""

PIXELS = 128
"""Pixels of a tile of a convolution."""

HEAD: Final = "head.weight"
HEAD_BIAS: Final = "head.bias"

_PRODUCTS: Final[dict[Numbers, str]] = {"float32": "ieee", "tf32": "tf32", "bf16": "ieee"}


def has_blocks(network: nn.Module) -> bool:
    """Whether a network is one of blocks, of few classes, and there is what compiles their kernels.

    That is Triton, which comes with PyTorch for Linux, and a C compiler, which it calls.
    """
    if not isinstance(network, Network) or not isinstance(network.body, nn.Sequential):
        return False
    kinds = [type(layer) for layer in network.body]
    count = len(kinds) // len(BLOCK)
    known = count > 0 and kinds == [*BLOCK * count, nn.Flatten]
    return known and network.head.out_features <= CLASSES and _can_compile()


def within_memory(network: Network, training: LocalTraining, lanes: Sequence[Lane]) -> bool:
    """Whether each of these lanes can be trained here."""
    filled = [lane for lane in lanes if lane.count]
    return not filled or _bytes_of_lane(network, training, filled) < MEMORY


@cache
def _can_compile() -> bool:
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return bool(compiler) and find_spec("triton") is not None


def train_blocks(
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
    filled = [number for number, lane in enumerate(lanes) if lane.count]
    most = _most_lanes(network, training, [lanes[number] for number in filled])
    for first in range(0, len(filled), most):
        some = filled[first : first + most]
        courses = [Course(lanes[number], training, network.dropout) for number in some]
        stack = _stack_for(network, training, courses, numbers)
        kept: list[list[Weights]] = [[] for _ in some]
        for number, weights, epochs in zip(
            some, _train(stack, training, courses, kept if keep_epochs else None), kept, strict=True
        ):
            trained[number] = TrainedLane(weights, tuple(epochs))
    return tuple(trained)


def _train(
    stack: _Stack,
    training: LocalTraining,
    courses: Sequence[Course],
    kept: Sequence[list[Weights]] | None,
) -> list[Weights]:
    """Train the lanes of one stack; return their weights."""
    stack.begin([course.lane for course in courses])
    going = list(range(len(courses)))
    while going:
        steps = max(courses[place].steps for place in going)
        stack.fill({place: (courses[place], courses[place].draw()) for place in going})
        for _ in range(steps):
            stack.train()
        correct, losses = [0] * len(courses), [0.0] * len(courses)
        if training.stop_at_accuracy is not None:
            correct = stack.correct({place: courses[place] for place in going})
        if training.patience is not None:
            losses = stack.losses()
        ended = [courses[place].end_epoch(correct[place], losses[place]) for place in going]
        if kept is not None:
            ends = stack.read(courses)
            for place in going:
                kept[place].append(ends[place])
        going = [place for place, last in zip(going, ended, strict=True) if not last]
    return stack.read(courses)


@dataclass(frozen=True)
class _Block:
    """A block: its place in the network, channels in and out, and the size of its images."""

    at: int
    inputs: int
    outputs: int
    height: int
    width: int

    @property
    def norm(self) -> str:
        """The name of its normalisation."""
        return f"body.{self.at + 1}"

    @property
    def kernel(self) -> str:
        """The names of its parameters, as PyTorch has them."""
        return f"body.{self.at}.weight"

    @property
    def bias(self) -> str:
        return f"body.{self.at}.bias"

    @property
    def scale(self) -> str:
        return f"{self.norm}.weight"

    @property
    def shift(self) -> str:
        return f"{self.norm}.bias"

    @property
    def area(self) -> int:
        """Pixels of an image."""
        return self.height * self.width

    @property
    def pooled(self) -> int:
        """Pixels after pooling."""
        return (self.height // 2) * (self.width // 2)

    @property
    def windows(self) -> int:
        """Windows of pooling, and what a last row or column of odd sizes adds."""
        return ((self.height + 1) // 2) * ((self.width + 1) // 2)


def _blocks_of(network: Network, shape: Sequence[int]) -> list[_Block]:
    """Return the blocks of a network on samples of a shape (C, H, W)."""
    assert isinstance(network.body, nn.Sequential)
    blocks = []
    _, height, width = shape
    for at, layer in enumerate(network.body):
        if isinstance(layer, nn.Conv2d):
            blocks.append(_Block(at, layer.in_channels, layer.out_channels, height, width))
            height, width = height // 2, width // 2
    return blocks


def _bytes_of_lane(network: Network, training: LocalTraining, lanes: Sequence[Lane]) -> int:
    """Return what the largest of some lanes takes."""
    shape = lanes[0].features.shape[1:]
    pixels = sum(block.area * block.outputs for block in _blocks_of(network, shape))
    room = _room_for(max(lane.count for lane in lanes))
    return 8 * (training.batch_size * pixels + room * math.prod(shape))


def _most_lanes(network: Network, training: LocalTraining, lanes: Sequence[Lane]) -> int:
    """Return how many lanes the memory has room for."""
    device = next(network.parameters()).device
    memory = MEMORY
    if device.type == CUDA:
        memory = min(memory, torch.cuda.get_device_properties(device).total_memory // 3)
    one = _bytes_of_lane(network, training, lanes) if lanes else 1
    return max(1, min(LANES, memory // one))


def _room_for(samples: int) -> int:
    """Return the samples of an epoch that there is room for, at least so many."""
    return ROOM << max(0, (-(-samples // ROOM) - 1).bit_length())


@dataclass(frozen=True)
class _Part:
    """A parameter of all lanes.

    Attributes:
        rows: where it is kept, shape (lanes, size).
        shape: that of the network's own, or a finer one.
        order: the axes of ``shape`` in the order in which they are kept, from 1.
    """

    rows: Tensor
    shape: tuple[int, ...]
    order: tuple[int, ...] = (1,)

    def write(self, stacked: Tensor) -> None:
        """Keep what the first lanes have, shape (lanes, ...) as the network has it."""
        count = len(stacked)
        split = stacked.reshape(count, *self.shape)
        self.rows[:count].copy_(split.permute(0, *self.order).flatten(1))

    def read(self, count: int, shape: Sequence[int]) -> Tensor:
        """Return a copy for the first lanes, of the shape that the network has."""
        kept = self.rows[:count].view(count, *(self.shape[axis - 1] for axis in self.order))
        own = kept.permute(0, *(int(axis) + 1 for axis in np.argsort(self.order)))
        return own.clone(memory_format=torch.contiguous_format).view(count, *shape)


_STACKS: dict[tuple[object, ...], _Stack] = {}


def _stack_for(
    network: Network, training: LocalTraining, courses: Sequence[Course], numbers: Numbers
) -> _Stack:
    """Return a stack with enough room.

    Those of the last two kinds are kept: a federation's, and that of local models.
    """
    kind = (network, training.batch_size, training.momentum, training.weight_decay, numbers)
    room = max(course.lane.count for course in courses)
    stack = _STACKS.pop(kind, None)
    if stack is None or not stack.fits(len(courses), room):
        del stack  # before the next one takes its memory
        shape = courses[0].lane.features.shape[1:]
        stack = _Stack(network, training, len(courses), room, shape, numbers)
    while len(_STACKS) > 1:
        _STACKS.pop(next(iter(_STACKS)))
    _STACKS[kind] = stack
    return stack


class _Stack:
    """The weights of many lanes, an epoch of samples for each, and the step of all of them.

    The parameters of a lane are a row of one matrix: of every block the kernel (9, C_in, C_out),
    scale, shift and the convolution's bias, then the head (d, n_classes) and its bias, where the
    embedding is in the order (H, W, C).

    Args:
        network: gives the layers.
        training: the recipe.
        lanes: most lanes.
        room: samples of the longest epoch.
        shape: (C, H, W) of one sample.
        numbers: what a step is computed with.
    """

    def __init__(
        self,
        network: Network,
        training: LocalTraining,
        lanes: int,
        room: int,
        shape: Sequence[int],
        numbers: Numbers,
    ) -> None:
        from triton import language

        from fal_bench.learning.kernels import blocks

        self._kernels: ModuleType = blocks
        self._training = training
        self._lanes = lanes
        self._batch = training.batch_size
        self._room = _room_for(room)
        # A multiple of 16, for which Triton compiles other code than for other strides.
        self._steps = 16 * _up(self._room, 16 * self._batch)
        head = network.head
        self._device, self._wide = head.weight.device, head.weight.dtype
        self._narrow = torch.bfloat16 if numbers == "bf16" else self._wide
        double = self._wide == torch.float64
        self._sums: dict[str, Any] = {"WIDE": language.float64 if double else language.float32}
        self._products = {"PRECISION": _PRODUCTS[numbers], **self._sums}
        self._masked = network.dropout is not None
        self._features, self._classes = head.in_features, head.out_features
        self._blocks = _blocks_of(network, shape)
        self._lay_out(network)
        self._allocate(shape)
        self._graphs: dict[str, torch.cuda.CUDAGraph] = {}

    def fits(self, lanes: int, room: int) -> bool:
        """Whether there is room for so many lanes of so many samples."""
        return lanes <= self._lanes and room <= self._room

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Load what the lanes start with, and their samples."""
        self._starts = [lane.start for lane in lanes]
        for name, part in self._parts.items():
            part.write(torch.stack([start[name] for start in self._starts]))
        self._copies.copy_(self._weights)
        self._velocity.zero_()
        # Kernels count on samples in the order (C, H, W); those of a plugin may lie otherwise.
        features = torch.cat([lane.features.to(self._device) for lane in lanes])
        self._source = features.contiguous()
        self._truths = torch.cat([lane.labels for lane in lanes]).to(self._device)
        counts = np.array([lane.count for lane in lanes])
        self._offsets: IntArray = np.cumsum(counts) - counts

    def read(self, courses: Sequence[Course]) -> list[Weights]:
        """Return a copy of the weights of every lane."""
        count = len(courses)
        own = {
            name: part.read(count, self._starts[0][name].shape)
            for name, part in self._parts.items()
        }
        return [
            {
                # What is not kept here counts steps.
                name: own[name][place] if name in own else tensor + course.taken
                for name, tensor in course.lane.start.items()
            }
            for place, course in enumerate(courses)
        ]

    def fill(self, epochs: Mapping[int, tuple[Course, Drawn]]) -> None:
        """Lay out an epoch for some lanes; the others rest."""
        edges = np.zeros((self._lanes, self._steps + 1), dtype=np.int32)
        rates = np.zeros((self._lanes, self._steps))
        plan = np.zeros((self._lanes, self._room, 4), dtype=np.int32)
        for place, (course, drawn) in epochs.items():
            count = course.lane.count
            edges[place] = count
            edges[place, : course.steps + 1] = course.edges
            rates[place, : course.steps] = course.rates()
            plan[place, :count, 0] = self._offsets[place] + drawn.order
            if drawn.flips is not None and drawn.shifts is not None:
                plan[place, :count, 1] = drawn.flips
                plan[place, :count, 2:] = drawn.shifts
            if drawn.masks is not None:
                # The embedding of a network is in the order (C, H, W).
                masks = _sent(drawn.masks, self._device).view(count, *self._inner)
                self._masks[place, :count].copy_(masks.permute(0, 2, 3, 1).flatten(1))
        self._rates.copy_(_sent(rates, self._device))
        self._lay(plan, edges)
        self._seen.zero_()

    def correct(self, courses: Mapping[int, Course]) -> list[int]:
        """Count the samples that some lanes classify correctly, in evaluation mode."""
        edges = np.zeros((self._lanes, self._steps + 1), dtype=np.int32)
        plan = np.zeros((self._lanes, self._room, 4), dtype=np.int32)
        steps = 0
        for place, course in courses.items():
            count = course.lane.count
            edges[place] = np.minimum(np.arange(self._steps + 1) * self._batch, count)
            plan[place, :count, 0] = self._offsets[place] + np.arange(count)
            steps = max(steps, _up(count, self._batch))
        self._lay(plan, edges)
        self._hits.zero_()
        for _ in range(steps):
            self._replay(self._look)
        hits: list[int] = self._hits.sum(1).tolist()
        return hits

    def losses(self) -> list[float]:
        """Return the sum of the losses of every lane's epoch."""
        seen: list[float] = self._seen.tolist()
        return seen

    def _lay(self, plan: NDArray[np.int32], edges: NDArray[np.int32]) -> None:
        """Lay out the samples of a plan and begin with the first step."""
        self._plan.copy_(_sent(plan, self._device))
        self._edges.copy_(_sent(edges, self._device))
        counts = self._edges[:, -1].contiguous()
        channels, height, width = self._source.shape[1:]
        pixels = channels * height * width
        tile = 1024
        self._kernels.fill[self._room, _up(pixels, tile), self._lanes](
            self._source, self._truths, self._plan, counts, self._images, self._labels, self._room,
            channels, height, width, BLOCK=tile,
        )  # fmt: skip
        self._now.zero_()

    def _lay_out(self, network: Network) -> None:
        """Find a place for every parameter."""
        assert isinstance(network.body, nn.Sequential)
        self._norm = network.body[1]
        sizes: dict[str, tuple[int, ...]] = {}
        for block in self._blocks:
            sizes[block.kernel] = (block.outputs, block.inputs, 3, 3)
            sizes.update(dict.fromkeys((block.bias, block.scale, block.shift), (block.outputs,)))
        last = self._blocks[-1]
        self._inner = (last.outputs, last.height // 2, last.width // 2)
        sizes[HEAD] = (self._classes, *self._inner)
        sizes[HEAD_BIAS] = (self._classes,)
        self._at: dict[str, int] = {}
        self._size = 0
        for name, dims in sizes.items():
            self._at[name] = self._size
            self._size += math.prod(dims)
        self._weights = self._new(self._size)
        self._moved = self._new(2, sum(block.outputs for block in self._blocks))
        self._parts: dict[str, _Part] = {}
        for name, dims in sizes.items():
            rows = self._weights[:, self._at[name] : self._at[name] + math.prod(dims)]
            self._parts[name] = _Part(rows, dims, (3, 4, 2, 1) if len(dims) > 1 else (1,))
        first = 0
        for block in self._blocks:
            self._at[block.norm] = first
            for place, name in enumerate(("running_mean", "running_var")):
                rows = self._moved[:, place, first : first + block.outputs]
                self._parts[f"{block.norm}.{name}"] = _Part(rows, (block.outputs,))
            first += block.outputs

    def _new(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.zeros(self._lanes, *shape, dtype=dtype or self._wide, device=self._device)

    def _allocate(self, shape: Sequence[int]) -> None:
        """Take the memory of a step: its addresses are recorded."""
        channels, height, width = shape
        narrow, batch = self._narrow, self._batch
        self._velocity, self._gradients = self._new(self._size), self._new(self._size)
        self._copies = self._new(self._size, dtype=narrow)
        self._plan = self._new(self._room, 4, dtype=torch.int32)
        self._images = self._new(self._room, height, width, channels, dtype=narrow)
        self._labels = self._new(self._room, dtype=torch.int64)
        self._masks = self._new(self._room, self._features if self._masked else 0)
        self._edges = self._new(self._steps + 1, dtype=torch.int32)
        self._rates = self._new(self._steps)
        self._now = torch.zeros(1, dtype=torch.int32, device=self._device)
        self._seen, self._hits = self._new(), self._new(self._room, dtype=torch.int32)
        self._slopes, self._losses = self._new(batch, self._classes, dtype=narrow), self._new(batch)
        self._sums_of = self._new(PROGRAMS, 2, max(block.outputs for block in self._blocks))
        self._pixels = [
            self._new(batch, one.area, one.outputs, dtype=narrow) for one in self._blocks
        ]
        self._pooled, self._active, self._back = (
            [self._new(batch, one.pooled, one.outputs, dtype=narrow) for one in self._blocks]
            for _ in range(3)
        )
        self._winners = [torch.empty_like(one, dtype=torch.int8) for one in self._pooled]
        self._moments = [self._new(2, one.outputs) for one in self._blocks]
        self._kernel_parts = [
            self._new(min(PARTS, max(1, batch * one.area // SPLIT)), 9 * one.inputs, one.outputs)
            for one in self._blocks
        ]

    def train(self) -> None:
        """Take the next step of all lanes."""
        self._replay(self._train)

    def _replay(self, step: Callable[[], None]) -> None:
        """Take a step, which is recorded the first time; on a processor it is just taken."""
        if self._device.type != CUDA:
            step()
            return
        if step.__name__ not in self._graphs:
            # Kernels are compiled and loaded by steps that find no samples.
            edges = self._edges.clone()
            self._edges.zero_()
            step()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            self._graphs[step.__name__] = graph
            self._edges.copy_(edges)
            self._now.zero_()
        self._graphs[step.__name__].replay()

    def _of(self, matrix: Tensor, name: str) -> Tensor:
        """Return where a parameter begins in a matrix of all."""
        return matrix[:, self._at[name] :]

    def _train(self) -> None:
        """Take the next step."""
        self._forward(training=True)
        embeddings, slopes = self._active[-1], self._back[-1]
        kernels, batch = self._kernels, (self._edges, self._now, self._steps)
        head = {"BF": 64, "BC": self._power(self._classes), "MASKED": self._masked}
        head |= self._products
        kernels.lose[_up(self._batch, 16), 1, self._lanes](
            embeddings, self._of(self._copies, HEAD), self._of(self._weights, HEAD_BIAS),
            self._masks, self._labels, self._slopes, self._losses, slopes, *batch, self._features,
            self._classes, embeddings.stride(0), self._size, self._room, self._batch, BR=16, **head,
        )  # fmt: skip
        kernels.weigh_head[_up(self._features, 64), 1, self._lanes](
            embeddings, self._masks, self._slopes, self._losses, self._of(self._gradients, HEAD),
            self._of(self._gradients, HEAD_BIAS), self._seen, *batch, self._features, self._classes,
            embeddings.stride(0), self._size, self._room, self._batch, BR=32, **head,
        )  # fmt: skip
        for number in reversed(range(len(self._blocks))):
            self._backward(number)
        kernels.descend[_up(self._size, 1024), 1, self._lanes](
            self._weights, self._velocity, self._gradients, self._copies, self._rates, *batch,
            self._size, float(self._training.momentum), float(self._training.weight_decay),
            BLOCK=1024,
        )  # fmt: skip
        self._now.add_(1)

    def _look(self) -> None:
        """Count the hits of the next batch, in evaluation mode."""
        self._forward(training=False)
        embeddings = self._active[-1]
        self._kernels.hit[_up(self._batch, 16), 1, self._lanes](
            embeddings, self._of(self._copies, HEAD), self._of(self._weights, HEAD_BIAS),
            self._labels, self._hits, self._edges, self._now, self._steps, self._features,
            self._classes, embeddings.stride(0), self._size, self._room, BR=16, BF=64,
            BC=self._power(self._classes), **self._products,
        )  # fmt: skip
        self._now.add_(1)

    def _forward(self, training: bool) -> None:
        """Compute the embeddings of a batch."""
        kernels, batch = self._kernels, (self._edges, self._now, self._steps)
        for number, block in enumerate(self._blocks):
            pixels, pooled, moments = (
                kind[number] for kind in (self._pixels, self._pooled, self._moments)
            )
            self._convolve(number)
            channels = {"BLOCK": min(64, self._power(block.outputs)), **self._sums}
            columns = _up(block.outputs, channels["BLOCK"])
            programs, rounds = _shared(self._batch * block.windows)
            scale, shift = (self._of(self._weights, name) for name in (block.scale, block.shift))
            kernels.pool[programs, columns, self._lanes](
                pixels, scale, pooled, self._winners[number], self._sums_of, *batch, block.height,
                block.width, block.outputs, pixels.stride(0), pooled.stride(0), self._size, rounds,
                **channels,
            )  # fmt: skip
            running, bias = (
                self._moved[:, :, self._at[block.norm] :],
                self._of(self._weights, block.bias),
            )
            few = {**channels, "BLOCK": 16}
            grid = (_up(block.outputs, 16), 1, self._lanes)
            if training:
                kernels.moments_of_batch[grid](
                    self._sums_of, moments, running, bias, *batch, block.area, self._norm.eps,
                    self._norm.momentum, block.outputs, programs, self._moved.shape[2], self._size,
                    **few,
                )  # fmt: skip
            else:
                kernels.moments_of_running[grid](
                    moments, running, bias, self._norm.eps, block.outputs, self._moved.shape[2],
                    self._size, BLOCK=16,
                )  # fmt: skip
            kernels.normalise[_up(self._batch * block.pooled, 32), columns, self._lanes](
                pooled, scale, shift, moments, self._active[number], *batch, block.pooled,
                block.outputs, pooled.stride(0), self._size, **channels,
            )  # fmt: skip

    def _backward(self, number: int) -> None:
        """Compute the gradients of a block from those of its activations."""
        block, kernels = self._blocks[number], self._kernels
        batch = (self._edges, self._now, self._steps)
        slopes, pooled, pixels = (kind[number] for kind in (self._back, self._pooled, self._pixels))
        channels = {"BLOCK": min(64, self._power(block.outputs)), **self._sums}
        columns = _up(block.outputs, channels["BLOCK"])
        programs, rounds = _shared(self._batch * block.pooled)
        affine = [self._of(self._weights, name) for name in (block.scale, block.shift)]
        found = [self._of(self._gradients, name) for name in (block.scale, block.shift)]
        kernels.reduce[programs, columns, self._lanes](
            slopes, pooled, *affine, self._moments[number], self._sums_of, *batch, block.pooled,
            block.outputs, pooled.stride(0), self._size, rounds, **channels,
        )  # fmt: skip
        kernels.slopes_of_map[_up(block.outputs, 16), 1, self._lanes](
            self._sums_of, *found, *batch, block.outputs, programs, self._size,
            **{**channels, "BLOCK": 16},
        )  # fmt: skip
        kernels.spread[_up(self._batch * block.windows, 32), columns, self._lanes](
            slopes, pixels, self._winners[number], *affine, self._moments[number], *found, *batch,
            block.height, block.width, block.outputs, pixels.stride(0), pooled.stride(0),
            self._size, **channels,
        )  # fmt: skip
        inputs, parts = self._inputs(number), self._kernel_parts[number]
        tile = self._tile(block.inputs, block.outputs)
        splits, size = parts.shape[1], 9 * block.inputs * block.outputs
        grid = _up(9 * block.inputs, tile["BK"]) * _up(block.outputs, tile["BN"])
        kernels.weigh[grid, splits, self._lanes](
            inputs, pixels, parts, *batch, block.height, block.width, inputs.stride(0),
            pixels.stride(0), splits, CI=block.inputs, CO=block.outputs, EPOCH=number == 0, BM=64,
            **tile, **self._products,
        )  # fmt: skip
        kernels.gather[_up(size, 1024), 1, self._lanes](
            parts, self._of(self._gradients, block.kernel), *batch, size, splits, self._size,
            BLOCK=1024, **self._sums,
        )  # fmt: skip
        if number:
            self._convolve(number, backward=True)

    def _convolve(self, number: int, backward: bool = False) -> None:
        """Convolve the inputs of a block, or the gradients of its pixels."""
        block = self._blocks[number]
        source, target = self._inputs(number), self._pixels[number]
        inputs, outputs = block.inputs, block.outputs
        if backward:
            source, target = target, self._back[number - 1]
            inputs, outputs = outputs, inputs
        tile = self._tile(inputs, outputs)
        grid = (_up(self._batch * block.area, PIXELS), _up(outputs, tile["BN"]), self._lanes)
        self._kernels.convolve[grid](
            source, self._of(self._copies, block.kernel), target, self._edges, self._now,
            self._steps, block.height, block.width, source.stride(0), self._size, target.stride(0),
            CI=inputs, CO=outputs, WO=block.outputs, EPOCH=number == 0 and not backward,
            BACKWARD=backward, BM=PIXELS, **tile, **self._products,
        )  # fmt: skip

    def _inputs(self, number: int) -> Tensor:
        return self._active[number - 1] if number else self._images

    def _tile(self, inputs: int, outputs: int) -> dict[str, int]:
        """Return the columns and the depth of a tile of a product."""
        depth = min(64, self._power(inputs))
        return {
            "BN": min(64, self._power(outputs)),
            "BK": depth if inputs % depth == 0 else 32,
        }

    @staticmethod
    def _power(count: int) -> int:
        """Return the next power of two, at least 16: the least size of a product."""
        return max(16, 1 << (count - 1).bit_length())


def _up(count: int, size: int) -> int:
    """Return the tiles of a size that hold ``count``."""
    return -(-count // size)


def _shared(rows: int) -> tuple[int, int]:
    """Return programs, and tiles of 32 rows that each works on."""
    rounds = _up(rows, 32 * PROGRAMS)
    return _up(rows, 32 * rounds), rounds


def _sent(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array on a device; the processor goes on while it travels."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == CUDA else tensor
