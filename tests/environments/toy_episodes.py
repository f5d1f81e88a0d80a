"""Small, easy episodes to test with, and a label reader that keeps a diary."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fal_bench.errors import LabelAccessError

N_CLASSES = 3
STATE, POOL, REWARD = np.arange(100, 120), np.arange(0, 60), np.arange(200, 230)
FORBIDDEN = np.concatenate([STATE, np.arange(300, 320)])


def true_labels(ids: Any) -> Any:
    return np.asarray(ids) % N_CLASSES


def features(ids: Any, width: int = 5) -> Any:
    """Three noisy clusters: the class decides the mean, the id the noise."""
    rows = [np.random.default_rng(int(i)).normal(size=width) for i in ids]
    centres = 2.0 * np.eye(width)[true_labels(ids)]
    return (np.array(rows) + centres).astype(np.float32)


@dataclass
class Diary:
    """A label reader that notes every (id, purpose) and refuses what must not be read."""

    entries: list[tuple[int, str]] = field(default_factory=list)

    def __call__(self, ids: Any, purpose: str, /) -> Any:
        if np.isin(ids, FORBIDDEN).any():
            raise LabelAccessError("a forbidden label was asked for")
        self.entries += [(int(i), purpose) for i in ids]
        return true_labels(ids)

    def ids(self, purpose: str) -> set[int]:
        return {sample for sample, why in self.entries if why == purpose}
