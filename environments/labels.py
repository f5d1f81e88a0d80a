"""How an environment comes by labels: it asks for them by id and purpose, one batch at a time."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.errors import LabelAccessError

WARM_START = "warm-start"
AGENT_TRAINING = "agent-training"
REWARD = "reward"


class LabelReader(Protocol):
    """Reads labels and charges whoever has to pay for them; ``ClientView.buy`` is one."""

    def __call__(self, ids: IntArray, purpose: str, /) -> IntArray:
        """Return the labels of ``ids``, in their order.

        Args:
            ids: sample ids, shape (n,).
            purpose: what the labels are for: ``warm-start``, ``agent-training`` or ``reward``.

        Raises:
            LabelAccessError: a label must not be read.
        """


class CountingLabels:
    """Labels held in memory, with a count of those that were read.

    Args:
        ids: the samples whose labels may be read, shape (n,).
        labels: their labels, shape (n,).
    """

    def __init__(self, ids: IntArray, labels: IntArray) -> None:
        self._labels = {int(i): int(label) for i, label in zip(ids, labels, strict=True)}
        self._read: dict[str, set[int]] = {}

    def __call__(self, ids: IntArray, purpose: str, /) -> IntArray:
        """Return the labels of ``ids`` and count them under ``purpose``.

        Raises:
            LabelAccessError: an id is none of those whose labels may be read.
        """
        wanted = np.asarray(ids).tolist()
        for sample in wanted:
            if sample not in self._labels:
                raise LabelAccessError(
                    f"The label of sample {sample} must not be read: it is neither in the pool "
                    "nor in the reward set."
                )
        self._read.setdefault(purpose, set()).update(wanted)
        return np.array([self._labels[sample] for sample in wanted], dtype=np.int64)

    @property
    def counts(self) -> dict[str, int]:
        """Distinct labels read so far, by purpose."""
        return {purpose: len(samples) for purpose, samples in self._read.items()}

    @property
    def strict(self) -> int:
        """Distinct labels read so far for any purpose."""
        return len(set().union(*self._read.values()))
