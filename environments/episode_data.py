"""What an episode runs on: a pool to label, samples that show the state, and a reward set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples without their labels.

    Attributes:
        ids: distinct ids, shape (n,).
        features: what the classifier is fitted on: embeddings under the current global model,
            shape (n, d), or raw inputs of any shape (n, ...).
    """

    ids: IntArray
    features: NDArray[Any]

    def __post_init__(self) -> None:
        if self.ids.ndim != 1 or len(self.ids) != len(self.features):
            raise InvalidSpecError(
                f"Samples need one id each, not {len(self.ids)} ids for "
                f"{len(self.features)} rows of features."
            )
        if len(np.unique(self.ids)) != len(self.ids):
            raise InvalidSpecError("Samples need distinct ids; some id occurs twice.")

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, positions: IntArray) -> Samples:
        """Return the samples at the given positions."""
        return Samples(self.ids[positions], self.features[positions])


@dataclass(frozen=True, eq=False)
class EpisodeData:
    """The data of one client's episodes; the three parts have no sample in common.

    Attributes:
        pool: samples that the agent can have labelled.
        state: samples whose predicted margins are the observation; their labels are never read.
        reward: samples on which precision is measured; their labels are read, and charged.
        n_classes: number of classes, at least 2.
    """

    pool: Samples
    state: Samples
    reward: Samples
    n_classes: int

    def __post_init__(self) -> None:
        parts = {"pool": self.pool, "state": self.state, "reward": self.reward}
        for name, part in parts.items():
            if not len(part):
                raise InvalidSpecError(
                    f"The {name} samples of an episode are empty; give the client more data or "
                    "a larger share."
                )
        if self.n_classes < 2:
            raise InvalidSpecError(f"An episode needs at least 2 classes, not {self.n_classes}.")
        ids = np.concatenate([part.ids for part in parts.values()])
        if len(np.unique(ids)) != len(ids):
            raise InvalidSpecError(
                "Pool, state and reward samples of an episode overlap; a sample belongs to one."
            )


def hold_out(samples: Samples, count: int, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Split samples at random into what remains and ``count`` held out, each sorted by id.

    Raises:
        InvalidSpecError: nothing would remain, or nothing is held out.
    """
    if not 0 < count < len(samples):
        raise InvalidSpecError(
            f"Cannot hold out {count} of {len(samples)} samples; at least one must be held out "
            "and one remain."
        )
    order = np.argsort(samples.ids)
    shuffled = rng.permutation(order)
    rest, held = shuffled[count:], shuffled[:count]
    by_id = [part[np.argsort(samples.ids[part])] for part in (rest, held)]
    return samples.at(by_id[0]), samples.at(by_id[1])
