"""The made-up batches that trainers are checked on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from fal_bench.plugins.trainer import LocalBatch, MixedBatch

LANES: Final = 3
ROWS: Final = 8
CLASSES: Final = 5


@dataclass(frozen=True)
class Shown:
    """What a loss is called with.

    Attributes:
        logits: shape (..., rows, classes).
        batch: labels, or mixtures.
    """

    logits: Tensor
    batch: LocalBatch | MixedBatch

    @property
    def method(self) -> str:
        """The method of a trainer that takes it."""
        return "losses" if isinstance(self.batch, LocalBatch) else "mixed_losses"

    def lane(self, number: int) -> Shown:
        """Return one lane without the axis of lanes, as where lanes are trained one by one."""
        return Shown(self.logits[number], _each(self.batch, number))

    def changed(self, rows: slice) -> Shown:
        """Return the same with other logits, and other labels, in some rows."""
        logits = self.logits.clone()
        logits[..., rows, :] *= -3
        if isinstance(self.batch, MixedBatch):
            start_logits = self.batch.start_logits.clone()
            start_logits[..., rows, :] *= -3
            return Shown(logits, replace(self.batch, start_logits=start_logits))
        labels = self.batch.labels.clone()
        labels[..., rows] = (labels[..., rows] + 1) % CLASSES
        return Shown(logits, replace(self.batch, labels=labels))

    def __str__(self) -> str:
        *lanes, rows, classes = self.logits.shape
        of_lanes = f"{lanes[0]} lanes" if lanes else "one lane"
        return f"{of_lanes} of {rows} samples, {classes} classes"


def ordinary(rows: int = ROWS) -> Shown:
    """Return a batch of clients that have labels of every class; rounds differ."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.randint(CLASSES, (LANES, rows), generator=generator)
    counts = torch.randint(1, 9, (LANES, CLASSES), generator=generator)
    return Shown(_logits(generator, rows), LocalBatch(labels, counts, torch.tensor([0, 1, 12])))


def absent() -> Shown:
    """Return a batch of clients that lack classes; the last rows are padding, with label 0."""
    counts = torch.tensor([[0, 4, 2, 1, 3], [0, 0, 5, 0, 2], [0, 6, 0, 0, 0]])
    labels = torch.tensor([[1, 2, 3, 4, 1, 4, 0, 0], [2, 4, 2, 2, 4, 2, 0, 0], [1] * 6 + [0] * 2])
    return Shown(ordinary().logits, LocalBatch(labels, counts, torch.tensor([0, 1, 12])))


def confident() -> Shown:
    """Return a batch whose logits lie hundreds apart, in half of the rows for the wrong class."""
    shown = ordinary()
    return Shown(shown.logits.sign() * 150 + shown.logits, shown.batch)


def mixtures() -> Shown:
    """Return mixtures of unlabelled samples; partners are of the same half of the rows."""
    shown = ordinary()
    generator = torch.Generator().manual_seed(8)
    half = ROWS // 2
    orders = [torch.randperm(half, generator=generator) for _ in range(2 * LANES)]
    partner = torch.cat(orders).view(LANES, ROWS) + torch.arange(ROWS) // half * half
    batch = MixedBatch(
        weight=torch.rand(LANES, ROWS, generator=generator),
        partner=partner,
        class_counts=shown.batch.class_counts,
        round=shown.batch.round,
        start_logits=_logits(generator, ROWS),
    )
    return Shown(shown.logits, batch)


def _logits(generator: torch.Generator, rows: int) -> Tensor:
    return 2 * torch.randn(LANES, rows, CLASSES, generator=generator)


def _each(batch: LocalBatch | MixedBatch, number: int) -> LocalBatch | MixedBatch:
    parts = {name: part[number] for name, part in vars(batch).items() if part is not None}
    return type(batch)(**parts)
