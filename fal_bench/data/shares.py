"""The parts of one client's data: state, warm start, agent and query pool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.apportionment import largest_remainder
from fal_bench.task import Shares


@dataclass(frozen=True, eq=False)
class ClientShares:
    """One client's samples by what they may be used for; sorted and disjoint ids.

    Attributes:
        state: samples that describe the state of an agent; their labels are never read.
        warm_start: samples of warm-start episodes.
        agent: samples on which an agent is trained.
        pool: the query pool.
    """

    state: IntArray
    warm_start: IntArray
    agent: IntArray
    pool: IntArray

    @property
    def samples(self) -> int:
        """Samples of the client in all parts."""
        return len(self.state) + len(self.warm_start) + len(self.agent) + len(self.pool)


def split_shares(ids: IntArray, shares: Shares, rng: np.random.Generator) -> ClientShares:
    """Split a client's samples at random, without regard to their class.

    Sizes follow the shares by the largest-remainder method. With very few samples a small share may
    come out empty, but not the pool: it takes a sample of the largest other share then.

    Args:
        ids: the client's distinct sample ids; shape (samples,).
        shares: the fraction of each part.
        rng: the stream that the split is drawn from.
    """
    sizes = largest_remainder(
        [shares.state, shares.warm_start, shares.agent, shares.pool], len(ids)
    )
    if len(ids) and not sizes[-1]:
        sizes[np.argmax(sizes)] -= 1
        sizes[-1] = 1
    # Sorted first, so that the split depends on which ids there are and not on their order.
    shuffled = rng.permutation(np.sort(np.asarray(ids, dtype=np.int64)))
    parts = np.split(shuffled, np.cumsum(sizes)[:-1])
    return ClientShares(*(np.sort(part) for part in parts))
