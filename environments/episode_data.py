"""What an episode runs on: samples without labels, and a count of the labels that are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.data.shares import split_shares
from fal_bench.errors import InvalidSpecError, LabelAccessError
from fal_bench.task import Shares


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


WARM_START = "warm-start"
AGENT_TRAINING = "agent-training"
REWARD = "reward"


class LabelReader(Protocol):
    """Reads labels and charges them to the client; ``ClientView.buy`` is one."""

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


REWARD_SHARE = 0.1
"""Share of the client's data that is held out of the agent share to measure precision."""


def digits_episode(seed: int = 0) -> tuple[EpisodeData, CountingLabels]:
    """Split the training digits 10/10/60/20 and return what agent-training episodes run on.

    The pool is the agent share less the reward set; features are the 64 pixels. Labels of the
    state share cannot be read, and the test digits take no part.

    Args:
        seed: seed of the split.
    """
    from fal_bench.datasets.digits import load_digits

    dataset = load_digits()
    rng = np.random.default_rng(seed)
    ids = np.arange(dataset.n_train)
    shares = split_shares(ids, Shares(state=0.1, warm_start=0.1, agent=0.6, pool=0.2), rng)
    pixels = dataset.train_features.numpy().reshape(dataset.n_train, -1)
    labels = dataset.train_labels.numpy()
    agent = Samples(shares.agent, pixels[shares.agent])
    pool, reward = hold_out(agent, round(REWARD_SHARE * dataset.n_train), rng)
    state = Samples(shares.state, pixels[shares.state])
    data = EpisodeData(pool, state, reward, dataset.n_classes)
    return data, CountingLabels(agent.ids, labels[agent.ids])
