"""What a strategy sees at the server and at a site, where messages are the only link.

Server and sites run ``select_all`` each. A site runs it from its start for every message: what the
server has sent so far is in the message, and the site answers with the array that the server waits
for. So a site needs no process that lives on, a query can be asked twice, and a site that
was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.errors import CoordinationError, NeedsError
from fal_bench.federation.view import COUNT_BYTES, allotted, as_message
from fal_bench.plugins.strategy import ClientView, Selection

Sent = list[list[NDArray[Any]]]
"""What the server has sent in a query, in order: a list of arrays for each site."""
Compute = Callable[[ClientView], NDArray[Any]]

_NO_TARGET = "there is no target domain in a real federation; choose a strategy without one"


class GatheredError(BaseException):
    """A site has reached the array that the server waits for; no strategy is meant to catch it.

    Attributes:
        array: the array.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        super().__init__()
        self.array = array


class _Participant:
    """What server and sites all know.

    Args:
        cycle: the cycle.
        budgets: labels each client buys now unless the server says otherwise.
        limits: labels each client may buy at most.
        rng: the participant's own stream for this cycle.
        memory: what it remembers in the server's place.
    """

    def __init__(
        self,
        cycle: int,
        budgets: Sequence[int],
        limits: Sequence[int],
        rng: np.random.Generator,
        memory: dict[str, Any],
    ) -> None:
        self.clients, self.cycle = len(budgets), cycle
        self.budgets, self.limits = tuple(budgets), tuple(limits)
        self.total_budget = sum(budgets)
        self.rng, self.memory = rng, memory

    @property
    def target(self) -> Any:
        """There is none.

        Raises:
            NeedsError: always.
        """
        raise NeedsError(_NO_TARGET)


class ServerView(_Participant):
    """The server's view of the federation; see ``fal_bench.plugins.strategy.FederationView``.

    Args:
        gather: given what was sent so far, returns the next array of every site.
        given: as for all participants.

    Attributes:
        sent: what was sent in this query so far.
        bytes_up: bytes of the arrays that were gathered.
        bytes_down: bytes of the arrays that were sent.
    """

    def __init__(
        self, gather: Callable[[int, Sent], list[NDArray[Any]]], *given: Any, **named: Any
    ) -> None:
        super().__init__(*given, **named)
        self.sent: Sent = [[] for _ in range(self.clients)]
        self.bytes_up, self.bytes_down = 0, 0
        self._gather = gather
        self._gathered = 0

    def each(
        self,
        compute: Callable[[ClientView, int], Selection],  # noqa: ARG002
        budgets: Sequence[int] | None = None,
    ) -> list[Selection]:
        """Hand budgets out; what sites select stays there."""
        handed = self.budgets
        if budgets is not None:
            handed = allotted(budgets, self.limits, self.total_budget)
            self.bytes_down += COUNT_BYTES * self.clients
        for own, budget in zip(self.sent, handed, strict=True):
            own.append(np.array(budget))
        return [np.empty(0, dtype=np.int64) for _ in range(self.clients)]

    def gather(self, compute: Compute) -> list[NDArray[Any]]:  # noqa: ARG002
        """Wait for every site's array."""
        arrays = self._gather(self._gathered, self.sent)
        self._gathered += 1
        self.bytes_up += sum(array.nbytes for array in arrays)
        return arrays

    def broadcast(self, message: NDArray[Any]) -> NDArray[Any]:
        """Send an array to every site, with the next question."""
        array = as_message(message)
        self.bytes_down += array.nbytes * self.clients
        for own in self.sent:
            own.append(array)
        return array.copy()


class SiteView(_Participant):
    """A site's view of the federation; see ``fal_bench.plugins.strategy.FederationView``.

    Args:
        view: the site's own view.
        sent: what the server has sent it in this query.
        wanted: number of the array that the server waits for; None if it waits for the selection.
        given: as for all participants.
    """

    def __init__(
        self,
        view: ClientView,
        sent: Sequence[NDArray[Any]],
        wanted: int | None,
        *given: Any,
        **named: Any,
    ) -> None:
        super().__init__(*given, **named)
        self._view = view
        self._sent = iter(sent)
        self._wanted = wanted
        self._gathered = 0

    def each(
        self,
        compute: Callable[[ClientView, int], Selection],
        budgets: Sequence[int] | None = None,  # noqa: ARG002
    ) -> list[Selection]:
        """Compute here, with the budget that the server hands out."""
        budget = int(self._next())
        selections: list[Selection] = [np.empty(0, dtype=np.int64) for _ in range(self.clients)]
        if budget:
            selections[self._view.index] = compute(self._view, budget)
        return selections

    def gather(self, compute: Compute) -> list[NDArray[Any]]:
        """Compute the site's own array, and send it if the server waits for it."""
        array = as_message(compute(self._view))
        if self._gathered == self._wanted:
            raise GatheredError(array)
        self._gathered += 1
        return [array.copy() for _ in range(self.clients)]

    def broadcast(self, message: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        """Return what the server sent."""
        return self._next()

    def _next(self) -> NDArray[Any]:
        array = next(self._sent, None)
        if array is None:
            raise CoordinationError(
                "a site waits for a message that the server never sends; what server and sites do "
                "next must follow from budgets, parameters and what was broadcast (falbench check)"
            )
        return array.copy()
