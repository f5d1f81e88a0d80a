"""The batches of one step: one per slot, padded to a common number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fal_bench.learning.request import Lane

IntArray = NDArray[np.int64]

PADDING = 0
"""The pool's row of zeros that stands for 'no sample'."""


class Samples:
    """The samples of several lanes in one tensor, behind one row of zeros.

    Args:
        lanes: at least one lane.

    Attributes:
        features: shape (1 + total, C, H, W).
        labels: shape (1 + total,).
        offsets: the row of each lane's first sample.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        blank = torch.zeros_like(lanes[0].features[:1])
        self.features = torch.cat([blank, *(lane.features for lane in lanes)])
        none = torch.zeros_like(lanes[0].labels[:1])
        self.labels = torch.cat([none, *(lane.labels for lane in lanes)])
        sizes = [len(lane.labels) for lane in lanes]
        self.offsets = (1 + np.cumsum([0, *sizes[:-1]])).tolist()


@dataclass(frozen=True)
class Batch:
    """One batch per slot.

    Attributes:
        samples: where the rows come from.
        rows: rows of ``samples``, ``PADDING`` behind the last one, shape (slots, rows).
        counts: samples in each slot's batch, 0 for an empty slot, shape (slots,).
    """

    samples: Samples
    rows: IntArray
    counts: IntArray

    @cached_property
    def index(self) -> Tensor:
        """Rows of ``samples``, slot after slot, shape (slots * rows,)."""
        return torch.from_numpy(self.rows.reshape(-1))

    @cached_property
    def by_lane(self) -> Tensor:
        """Features, shape (slots, rows, C, H, W)."""
        chosen = self.samples.features.index_select(0, self.index)
        return chosen.view(*self.rows.shape, *chosen.shape[1:])

    @cached_property
    def labels(self) -> Tensor:
        """Labels, shape (slots, rows)."""
        return self.samples.labels.index_select(0, self.index).view(self.rows.shape)

    @cached_property
    def shares(self) -> Tensor:
        """Weight of each sample in its slot's mean loss, 0 for padding, shape (slots, rows)."""
        return _shares(self.rows.shape[1], self.samples.features.dtype).index_select(
            0, torch.from_numpy(self.counts)
        )

    @property
    def inside(self) -> Tensor:
        """1 for samples and 0 for padding, shape (slots, rows)."""
        return self.shares.sign()

    def correct(self, logits: Tensor) -> IntArray:
        """Return each slot's number of correct predictions, from logits (slots, rows, classes)."""
        hits = (logits.argmax(2) == self.labels).numpy()
        hits &= np.arange(self.rows.shape[1]) < self.counts[:, None]
        return np.asarray(hits.sum(axis=1), dtype=np.int64)


@lru_cache(maxsize=64)
def _shares(rows: int, dtype: torch.dtype) -> Tensor:
    """Return, for each number of samples, the weight of each row, shape (rows + 1, rows)."""
    counts = torch.arange(rows + 1).unsqueeze(1)
    return (torch.arange(rows) < counts).to(dtype) / counts.clamp(min=1)
