"""What a step is taken on, one batch per slot, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from fal_bench.arrays import BoolArray, FloatArray, IntArray, RealArray
from fal_bench.learning.chance import distort
from fal_bench.learning.device import on_device
from fal_bench.learning.request import Lane
from fal_bench.plugins.trainer import LocalBatch

PADDING = 0
"""The pool's row of zeros that stands for 'no sample'."""


class Samples:
    """The samples of several lanes in one tensor, behind one row of zeros.

    Unlabelled samples that a trainer may mix stand behind the labelled ones.

    Args:
        lanes: at least one lane.
        device: where the tensors are.

    Attributes:
        features: shape (1 + total, C, H, W).
        labels: of the row of zeros and the labelled samples, shape (1 + labelled,).
        teacher_logits: likewise, shape (1 + labelled, n_classes); None if no lane has a teacher.
        offsets: the row of each lane's first sample.
        device: as above.
        unlabelled_offsets: the row of each lane's first unlabelled sample.
    """

    def __init__(self, lanes: Sequence[Lane], device: torch.device) -> None:
        self.device = device
        unlabelled = [lane.unlabelled for lane in lanes if lane.unlabelled is not None]
        self.features = self._stored([*(lane.features for lane in lanes), *unlabelled])
        self.labels = self._stored([lane.labels for lane in lanes])
        taught = [lane.teacher_logits for lane in lanes if lane.teacher_logits is not None]
        self.teacher_logits = self._stored(taught) if len(taught) == len(lanes) else None
        sizes = [len(lane.labels) for lane in lanes]
        sizes += [0 if lane.unlabelled is None else len(lane.unlabelled) for lane in lanes]
        offsets = (1 + np.cumsum([0, *sizes[:-1]])).tolist()
        self.offsets, self.unlabelled_offsets = offsets[: len(lanes)], offsets[len(lanes) :]

    def at(self, rows: IntArray) -> Tensor:
        """Return the features of ``rows`` (slots, rows), shape (slots, rows, C, H, W)."""
        chosen = self.features.index_select(0, on_device(rows.reshape(-1), self.device))
        return chosen.view(*rows.shape, *chosen.shape[1:])

    def _stored(self, tensors: Sequence[Tensor]) -> Tensor:
        placed = [tensor.to(self.device) for tensor in tensors]
        return torch.cat([torch.zeros_like(placed[0][:1]), *placed])


@dataclass(frozen=True)
class MixedRows:
    """Mixtures of unlabelled samples, for every slot.

    Attributes:
        samples: where the rows come from.
        rows: rows of ``samples``, ``PADDING`` where there is nothing to mix, shape (slots, rows).
        partner: see ``Mixtures``, shape (slots, rows).
        weight: see ``Mixtures``, shape (slots, rows).
        counts: mixtures of each slot, shape (slots,).
        kept: dropout leaves mixtures alone.
    """

    samples: Samples
    rows: IntArray
    partner: IntArray
    weight: FloatArray
    counts: IntArray
    kept: None = None

    @cached_property
    def by_lane(self) -> Tensor:
        """The mixtures, shape (slots, rows, C, H, W)."""
        first = self.samples.at(self.rows)
        second = self.samples.at(np.take_along_axis(self.rows, self.partner, axis=1))
        weight = on_device(self.weight, first.device).to(first.dtype)
        weight = weight.view(*self.rows.shape, 1, 1, 1)
        return weight * first + (1 - weight) * second

    @property
    def shares(self) -> Tensor:
        """Weight of each mixture in its slot's mean loss, shape (slots, rows)."""
        return _shares_of(self.counts, self.rows.shape[1], self.samples.features)


@dataclass(frozen=True)
class Batch:
    """One batch per slot.

    Attributes:
        samples: where the rows come from.
        rows: rows of ``samples``, ``PADDING`` behind the last one, shape (slots, rows).
        counts: samples in each slot's batch, shape (slots,).
        class_counts: labelled samples of each class in each slot's lane, shape (slots, classes).
        round: the round of each slot's lane, shape (slots,).
        mixed: mixtures of unlabelled samples, if the trainer asks for them.
        distortion: flips (slots, rows) and shifts (slots, rows, 2) of the samples, if any.
        mask: what dropout keeps, shape (slots, rows, width), if there is any.
    """

    samples: Samples
    rows: IntArray
    counts: IntArray
    class_counts: IntArray
    round: IntArray
    mixed: MixedRows | None = None
    distortion: tuple[BoolArray, IntArray] | None = None
    mask: FloatArray | None = None

    @cached_property
    def index(self) -> Tensor:
        """Rows of ``samples``, slot after slot, shape (slots * rows,)."""
        return on_device(self.rows.reshape(-1), self.samples.device)

    @cached_property
    def by_lane(self) -> Tensor:
        """Features, shape (slots, rows, C, H, W)."""
        chosen = self.samples.features.index_select(0, self.index)
        if self.distortion is not None:
            flips, shifts = self.distortion
            chosen = distort(chosen, flips.reshape(-1), shifts.reshape(-1, 2))
        return chosen.view(*self.rows.shape, *chosen.shape[1:])

    @cached_property
    def kept(self) -> Tensor | None:
        """What dropout keeps, as a tensor."""
        return None if self.mask is None else on_device(self.mask, self.samples.device)

    @cached_property
    def labels(self) -> Tensor:
        """Labels, shape (slots, rows)."""
        return self.samples.labels.index_select(0, self.index).view(self.rows.shape)

    @cached_property
    def shares(self) -> Tensor:
        """Weight of each sample in its slot's mean loss, 0 for padding, shape (slots, rows)."""
        return _shares_of(self.counts, self.rows.shape[1], self.samples.features)

    @property
    def inside(self) -> Tensor:
        """1 for samples and 0 for padding, shape (slots, rows)."""
        return self.shares.sign()

    def known(self, logits: Tensor) -> Tensor:
        """Return the logits of the classes that there are, without those that make sizes even."""
        return logits[..., : self.class_counts.shape[1]]

    def local(self) -> LocalBatch:
        """Return what a trainer's loss sees."""
        taught = self.samples.teacher_logits
        if taught is not None:
            chosen = taught.index_select(0, self.index)
            taught = chosen.view(*self.rows.shape, chosen.shape[1])
        return LocalBatch(
            self.labels,
            on_device(self.class_counts, self.samples.device),
            on_device(self.round, self.samples.device),
            taught,
        )

    def correct(self, logits: Tensor) -> IntArray:
        """Return each slot's number of correct predictions, from logits (slots, rows, classes)."""
        hits = (self.known(logits).argmax(2) == self.labels).numpy(force=True)
        hits &= np.arange(self.rows.shape[1]) < self.counts[:, None]
        return np.asarray(hits.sum(axis=1), dtype=np.int64)


def _shares_of(counts: IntArray, rows: int, like: Tensor) -> Tensor:
    """Return the weight of each row in its slot's mean, from the rows of each slot that count."""
    return _shares(rows, like.dtype, like.device).index_select(0, on_device(counts, like.device))


@lru_cache(maxsize=64)
def _shares(rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return, for each number of samples, the weight of each row, shape (rows + 1, rows)."""
    counts = torch.arange(rows + 1, device=device).unsqueeze(1)
    return (torch.arange(rows, device=device) < counts).to(dtype) / counts.clamp(min=1)


@dataclass(frozen=True)
class Outcome:
    """What the networks said before a step moved them.

    Attributes:
        logits: shape (slots, rows, outputs).
        losses: the loss of every sample, 0 for padding, shape (slots, rows); None where the step
            has no need to compute it.
    """

    logits: Tensor
    losses: Tensor | None = None

    @property
    def total_losses(self) -> RealArray:
        """Sum of each slot's losses, shape (slots,)."""
        assert self.losses is not None
        total: RealArray = self.losses.sum(1).numpy(force=True)
        return total
