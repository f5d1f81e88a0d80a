"""The ledger: the only way to a label, and the record of every label anyone ever read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.shares import ClientShares
from fal_bench.errors import LabelAccessError

INITIAL: Final = "initial"
POOL: Final = "pool"
TRAINING_PURPOSES: Final = (INITIAL, POOL)
"""Labels the harness buys; they are the paper labels, and what local training uses."""
STRATEGY_PURPOSES: Final = ("warm-start", "agent-training", "reward", "validation")
"""Labels a strategy buys for itself; they count as strict labels only."""
PURPOSES: Final = TRAINING_PURPOSES + STRATEGY_PURPOSES


class Ledger:
    """Guards the training labels and charges every one that is read.

    A charge is (client, sample, purpose, cycle). The same sample read again for the same purpose
    costs nothing; read for another purpose, it is recorded again but is still one strict label.
    Test labels are not in here at all, so no id leads to them.

    Args:
        labels: what annotators say of all training samples, shape (n,).
        shares: the shares of each client.
    """

    def __init__(self, labels: IntArray, shares: Sequence[ClientShares]) -> None:
        self.__labels = labels
        self._shares = tuple(shares)
        self._readable = [
            set(np.concatenate([own.warm_start, own.agent, own.pool]).tolist()) for own in shares
        ]
        self._charges: dict[tuple[int, int, str], int] = {}
        self._trained: list[set[int]] = [set() for _ in shares]
        self._read: list[set[int]] = [set() for _ in shares]

    @property
    def clients(self) -> int:
        """Number of clients."""
        return len(self._shares)

    def buy(self, client: int, ids: IntArray, purpose: str, cycle: int) -> IntArray:
        """Charge the labels of ``ids`` and return them in that order.

        Raises:
            LabelAccessError: an id is not this client's or lies in its state share, a pool label
                is asked for outside the pool, or the purpose is unknown; nothing is charged then.
        """
        wanted = [int(sample) for sample in np.asarray(ids).ravel()]
        self._check(client, wanted, purpose)
        for sample in wanted:
            self._charge(client, sample, purpose, cycle)
        return self.__labels[np.asarray(wanted, dtype=np.int64)]

    def labels(self, client: int, ids: IntArray) -> IntArray:
        """Return labels that have been bought before, at no cost.

        Raises:
            LabelAccessError: a label has not been bought by this client.
        """
        for sample in np.asarray(ids).ravel().tolist():
            if sample not in self._read[client]:
                raise LabelAccessError(
                    f"The label of sample {sample} has not been bought by client {client}; "
                    "buy it first."
                )
        return self.__labels[np.asarray(ids, dtype=np.int64)]

    def hindsight(self, client: int, ids: IntArray) -> IntArray:
        """Return labels of the client's pool without charging them, for references alone.

        Raises:
            LabelAccessError: an id lies outside the client's query pool.
        """
        wanted = [int(sample) for sample in np.asarray(ids).ravel()]
        self._check(client, wanted, POOL)
        return self.__labels[np.asarray(wanted, dtype=np.int64)]

    def labelled(self, client: int) -> IntArray:
        """Return the sorted ids that the client trains on: initial and pool labels."""
        return np.array(sorted(self._trained[client]), dtype=np.int64)

    def unlabelled(self, client: int) -> IntArray:
        """Return the sorted ids of the query pool that are not bought for training yet."""
        return np.setdiff1d(self._shares[client].pool, self.labelled(client))

    def paper(self) -> IntArray:
        """Return the paper labels of each client: initial labels and those from the pool."""
        return np.array([len(samples) for samples in self._trained])

    def strict(self) -> IntArray:
        """Return the strict labels of each client: distinct labels read for any purpose."""
        return np.array([len(samples) for samples in self._read])

    def charges(self) -> list[tuple[int, int, str, int]]:
        """Return all charges as (client, sample, purpose, cycle), in the order they were made."""
        return [(*charge, cycle) for charge, cycle in self._charges.items()]

    def restore(self, charges: Sequence[Sequence[Any]]) -> None:
        """Put back the charges of an interrupted run."""
        for client, sample, purpose, cycle in charges:
            self._charge(int(client), int(sample), str(purpose), int(cycle))

    def _charge(self, client: int, sample: int, purpose: str, cycle: int) -> None:
        self._charges.setdefault((client, sample, purpose), cycle)
        self._read[client].add(sample)
        if purpose in TRAINING_PURPOSES:
            self._trained[client].add(sample)

    def _check(self, client: int, wanted: list[int], purpose: str) -> None:
        if purpose not in PURPOSES:
            raise LabelAccessError(
                f"Unknown purpose {purpose!r}; use one of: {', '.join(STRATEGY_PURPOSES)}."
            )
        if purpose in TRAINING_PURPOSES:
            allowed = set(self._shares[client].pool.tolist())
        else:
            allowed = self._readable[client]
        for sample in wanted:
            if sample not in allowed:
                raise LabelAccessError(
                    f"Client {client} may not read the label of sample {sample} for {purpose!r}: "
                    "it is another client's, in the state share, outside the query pool, or no "
                    "training sample."
                )
