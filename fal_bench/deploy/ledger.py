"""The ledger of a site: labels come from its store, and those that are missing from people."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.shares import ClientShares
from fal_bench.deploy.labels import SITE_PURPOSES, LabelStore
from fal_bench.federation.ledger import INITIAL, Ledger


class LabelsPendingError(BaseException):
    """Somebody has to label samples first; no strategy is meant to catch it."""


class SiteLedger(Ledger):
    """A ledger that holds one client's labels, as they were before a query.

    A strategy that buys labels gets those that are answered. Where one is not, the store asks for
    it and the query stops; it is run again from its start when people have answered.

    Args:
        store: the label store.
        client: the client's number.
        shares: the shares of each client; all but the site's own are empty.
        samples: how many samples the site has.
        cycle: the cycle of the query; labels that it bought itself are not restored.
    """

    def __init__(
        self,
        store: LabelStore,
        client: int,
        shares: tuple[ClientShares, ...],
        samples: int,
        cycle: int,
    ) -> None:
        self._known: dict[int, IntArray] = {}

        def votes(number: int) -> IntArray:
            if number not in self._known:
                self._known[number] = (
                    store.further(number, samples) if number else store.labels(samples)
                )
            return self._known[number]

        super().__init__(votes, shares)
        self._store = store
        self.restore(
            [
                (client, sample, purpose, asked)
                for sample, _, purpose, asked in store.charges()
                if purpose not in SITE_PURPOSES and (purpose == INITIAL or asked < cycle)
            ]
        )

    def buy(self, client: int, ids: IntArray, purpose: str, cycle: int) -> IntArray:
        """Charge labels and return them; see ``Ledger.buy``.

        Raises:
            LabelsPendingError: people have to answer first.
        """
        wanted = [int(sample) for sample in np.asarray(ids).ravel()]
        self._check(client, wanted, purpose)
        self._store.ask(wanted, purpose, cycle)
        self._wait()
        return super().buy(client, ids, purpose, cycle)

    def ask_again(self, client: int, ids: IntArray, cycle: int) -> IntArray:
        """Charge further votes and return them; see ``Ledger.ask_again``.

        Raises:
            LabelsPendingError: people have to answer first.
        """
        wanted = [int(sample) for sample in np.asarray(ids).ravel()]
        if not self._trained[client].issuperset(wanted):
            return super().ask_again(client, ids, cycle)  # which refuses it
        counted: Counter[int] = Counter()
        for sample in wanted:
            number = len(self.votes(sample)) + counted[sample]
            counted[sample] += 1
            self._store.ask_again(sample, number, cycle)
        self._wait()
        return super().ask_again(client, ids, cycle)

    def askable(self, client: int) -> IntArray:
        """Return all labelled samples: there is always somebody else to ask."""
        return self.labelled(client)

    def _wait(self) -> None:
        if self._store.pending():
            raise LabelsPendingError
        self._known.clear()
