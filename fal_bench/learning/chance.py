"""What chance does to a training step besides the order of the samples.

Everything is drawn from the lane's own stream, in an order that both engines share, so that a lane
has the same numbers in any company and under either engine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fal_bench.arrays import BoolArray, FloatArray, IntArray
from fal_bench.task import Augmentation

CROP_SHARE = 8
"""Crops move an image by up to an eighth of its height and width: 4 pixels of 32."""


@dataclass(frozen=True)
class Distortions:
    """How the samples of one epoch are flipped and moved.

    Attributes:
        flips: whether a sample is mirrored left to right, shape (steps, rows).
        shifts: rows and columns by which it is moved, shape (steps, rows, 2).
    """

    flips: BoolArray
    shifts: IntArray

    @classmethod
    def draw(
        cls,
        kind: Augmentation,
        steps: int,
        rows: int,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> Distortions:
        """Draw one epoch's distortions.

        Args:
            kind: ``"flip"``, or ``"flip-crop"`` for flips and moves.
            steps: steps of the epoch.
            rows: samples a step, at most.
            size: height and width of an image.
            rng: the lane's stream.
        """
        flips = rng.random((steps, rows)) < 0.5
        shifts: IntArray = np.zeros((steps, rows, 2), dtype=np.int64)
        if kind == "flip-crop":
            for axis, length in enumerate(size):
                reach = length // CROP_SHARE
                shifts[..., axis] = rng.integers(-reach, reach + 1, size=(steps, rows))
        return cls(flips, shifts)


def distort(images: Tensor, flips: Tensor | BoolArray, shifts: Tensor | IntArray) -> Tensor:
    """Flip and move images; what comes in at an edge is zero.

    Args:
        images: shape (n, C, H, W).
        flips: shape (n,).
        shifts: shape (n, 2).
    """
    count, channels, height, width = images.shape
    device = images.device
    flips, shifts = torch.as_tensor(flips, device=device), torch.as_tensor(shifts, device=device)
    rows = torch.arange(height, device=device) - shifts[:, :1]
    columns = torch.arange(width, device=device) - shifts[:, 1:]
    columns = torch.where(flips[:, None], width - 1 - columns, columns)
    inside = ((rows >= 0) & (rows < height))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None, :]
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)
    moved = images.reshape(count, channels, -1).gather(2, pixels.expand(-1, channels, -1))
    return moved.view(images.shape) * inside.unsqueeze(1)


@dataclass(frozen=True)
class Mixtures:
    """Which samples are mixed in the steps of one epoch, and how.

    Mixture r of a step is weight[r] * x[first[r]] + (1 - weight[r]) * x[first[partner[r]]].

    Attributes:
        first: positions among the unlabelled samples, shape (steps, rows).
        partner: rows of the same step, a permutation of each step's rows, shape (steps, rows).
        weight: shape (steps, rows).
    """

    first: IntArray
    partner: IntArray
    weight: FloatArray

    @classmethod
    def draw(
        cls, count: int, steps: int, rows: int, concentration: float, rng: np.random.Generator
    ) -> Mixtures:
        """Draw one epoch's mixtures.

        Args:
            count: number of unlabelled samples, at least 1; drawn with replacement.
            steps: steps of the epoch.
            rows: mixtures a step.
            concentration: a of the weights' Beta(a, a) law.
            rng: the lane's stream.
        """
        first = rng.integers(count, size=(steps, rows))
        partner = rng.permuted(np.tile(np.arange(rows), (steps, 1)), axis=1)
        weight = rng.beta(concentration, concentration, size=(steps, rows)).astype(np.float32)
        return cls(first, partner, weight)


def drop_mask(share: float, rows: int, width: int, rng: np.random.Generator) -> FloatArray:
    """Draw which activations a step keeps: 0, or 1 / (1 - share), shape (rows, width)."""
    kept = rng.random((rows, width), dtype=np.float32) >= share
    return kept.astype(np.float32) / np.float32(1 - share)


class Dropout(torch.nn.Module):
    """Dropout whose mask is handed in before each forward pass; without one it does nothing.

    Args:
        share: share of activations that are dropped in training.
        width: activations of a sample.
    """

    def __init__(self, share: float, width: int) -> None:
        super().__init__()
        self.share = share
        self.width = width
        self.mask: Tensor | None = None

    def forward(self, activations: Tensor) -> Tensor:
        """Return what is kept, scaled up, shape (n, width)."""
        return activations if self.mask is None else activations * self.mask


def dropout_of(network: torch.nn.Module) -> Dropout | None:
    """Return a network's dropout, if it has one."""
    return next((module for module in network.modules() if isinstance(module, Dropout)), None)
