"""The ledger: the only way to a label, and the record of every label anyone ever read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.annotators import NO_VOTE, Votes
from fal_bench.data.shares import ClientShares
from fal_bench.errors import LabelAccessError

INITIAL: Final = "initial"
POOL: Final = "pool"
FURTHER: Final = "further-vote"
"""One more annotator is asked about a sample that is labelled already."""
TRAINING_PURPOSES: Final = (INITIAL, POOL, FURTHER)
"""Labels the harness buys; they are the paper labels, and what local training uses."""
STRATEGY_PURPOSES: Final = ("warm-start", "agent-training", "reward", "validation")
"""Labels a strategy buys for itself; they count as strict labels only."""
PURPOSES: Final = TRAINING_PURPOSES + STRATEGY_PURPOSES


class Ledger:
    """Guards the training labels and charges every one that is read.

    A charge is (client, sample, purpose, cycle). The same sample read again for the same purpose
    costs nothing; read for another purpose, it is recorded again but is still one strict label.
    Each further vote on a sample is one more charge and one more label; the k-th such charge of a
    sample is its vote number k + 1. The label of a sample is what most of its votes say; among
    equally many, what was said first. Test labels are not in here at all, so no id leads to them.

    Args:
        votes: what annotators say of all training samples.
        shares: the shares of each client.
    """

    def __init__(self, votes: Votes, shares: Sequence[ClientShares]) -> None:
        self.__votes = votes
        self.__further: dict[int, list[int]] = {}
        self._shares = tuple(shares)
        self._readable = [
            set(np.concatenate([own.warm_start, own.agent, own.pool]).tolist()) for own in shares
        ]
        self._charges: list[tuple[int, int, str, int]] = []
        self._charged: set[tuple[int, int, str]] = set()
        self._asked: Counter[tuple[int, int]] = Counter()
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
        return self.__labels(wanted)

    def ask_again(self, client: int, ids: IntArray, cycle: int) -> IntArray:
        """Charge one further vote on each of ``ids`` and return them in that order.

        Raises:
            LabelAccessError: the client has not bought the label of a sample for training, or all
                raters of a sample have been asked; nothing is charged then.
        """
        wanted = [int(sample) for sample in np.asarray(ids).ravel()]
        numbers: Counter[int] = Counter()
        said = []
        for sample in wanted:
            if sample not in self._trained[client]:
                raise LabelAccessError(
                    f"Client {client} cannot ask again about sample {sample}, whose label it has "
                    "not bought; ask about samples in client.labelled."
                )
            number = len(self.votes(sample)) + numbers[sample]
            numbers[sample] += 1
            said.append(int(self.__votes(number)[sample]))
            if said[-1] == NO_VOTE:
                raise LabelAccessError(
                    f"Client {client} cannot ask again about sample {sample}: all of its "
                    f"{number} raters have been asked; ask about samples in client.askable."
                )
        for sample in wanted:
            self._charge(client, sample, FURTHER, cycle)
        return np.array(said, dtype=np.int64)

    def votes(self, sample: int) -> list[int]:
        """Return all votes on a labelled sample so far, in the order in which they were bought."""
        return [int(self.__votes(0)[sample]), *self.__further.get(sample, ())]

    def askable(self, client: int) -> IntArray:
        """Return the sorted ids that the client trains on and that a further rater is there for."""
        return np.array(
            [
                sample
                for sample in sorted(self._trained[client])
                if self.__votes(1 + len(self.__further.get(sample, ())))[sample] != NO_VOTE
            ],
            dtype=np.int64,
        )

    def asked(self, client: int, cycle: int) -> int:
        """Return how many further votes a client has bought in a cycle."""
        return self._asked[client, cycle]

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
        return self.__labels(ids)

    def hindsight(self, client: int, ids: IntArray) -> IntArray:
        """Return labels of the client's pool without charging them, for references alone.

        Raises:
            LabelAccessError: an id lies outside the client's query pool.
        """
        wanted = [int(sample) for sample in np.asarray(ids).ravel()]
        self._check(client, wanted, POOL)
        return self.__labels(wanted)

    def labelled(self, client: int) -> IntArray:
        """Return the sorted ids that the client trains on: initial and pool labels."""
        return np.array(sorted(self._trained[client]), dtype=np.int64)

    def unlabelled(self, client: int) -> IntArray:
        """Return the sorted ids of the query pool that are not bought for training yet."""
        return np.setdiff1d(self._shares[client].pool, self.labelled(client))

    def left(self, client: int) -> int:
        """Return how many samples ``unlabelled`` has."""
        return len(self._shares[client].pool) - len(self._trained[client])

    def paper(self) -> IntArray:
        """Return the paper labels of each client: initial ones, those from the pool, and votes."""
        return self._with_votes(self._trained)

    def strict(self) -> IntArray:
        """Return the strict labels of each client: distinct labels read for any purpose."""
        return self._with_votes(self._read)

    def charges(self) -> list[tuple[int, int, str, int]]:
        """Return all charges as (client, sample, purpose, cycle), in the order they were made."""
        return list(self._charges)

    def restore(self, charges: Sequence[Sequence[Any]]) -> None:
        """Put back the charges of an interrupted run."""
        for client, sample, purpose, cycle in charges:
            self._charge(int(client), int(sample), str(purpose), int(cycle))

    def _with_votes(self, samples: Sequence[set[int]]) -> IntArray:
        """Return how many samples each client has, and further votes on them."""
        counts = np.array([len(own) for own in samples])
        for (client, _), votes in self._asked.items():
            counts[client] += votes
        return counts

    def __labels(self, ids: Sequence[int] | IntArray) -> IntArray:
        """Return what the votes that were bought make of the labels of samples."""
        samples = np.asarray(ids, dtype=np.int64)
        labels: IntArray = self.__votes(0)[samples]
        if self.__further:
            for place in np.flatnonzero(np.isin(samples, list(self.__further))):
                # Counter counts in the order of the votes, and of equal counts takes the first.
                [(labels[place], _)] = Counter(self.votes(int(samples[place]))).most_common(1)
        return labels

    def _charge(self, client: int, sample: int, purpose: str, cycle: int) -> None:
        if purpose == FURTHER:
            number = len(self.votes(sample))
            self.__further.setdefault(sample, []).append(int(self.__votes(number)[sample]))
            self._asked[client, cycle] += 1
        elif (client, sample, purpose) in self._charged:
            return
        self._charged.add((client, sample, purpose))
        self._charges.append((client, sample, purpose, cycle))
        self._read[client].add(sample)
        if purpose in TRAINING_PURPOSES:
            self._trained[client].add(sample)

    def _check(self, client: int, wanted: list[int], purpose: str) -> None:
        if purpose not in PURPOSES or purpose == FURTHER:
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
