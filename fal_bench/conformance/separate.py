"""A coordinated strategy at server and clients that share nothing but messages.

Server and clients run ``select_all`` each, as processes of a real federation would: every one has a
strategy, a memory of the server and a view of its own. At a client, ``gather`` sends its array and
returns that array in everybody's place; what the server knows comes by ``broadcast`` alone. They
take turns, one at a time: networks of a process are shared.
"""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fal_bench.errors import CoordinationError, message_of
from fal_bench.federation.view import LiveFederationView
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.strategy import ClientView, FederationView, Selection, Strategy

Compute = Callable[[ClientView], NDArray[Any]]
Memories = list[dict[str, Any]]
"""What each participant remembers in the server's place: the clients in order, then the server."""

_IN_VAIN = "waits for a message that is never sent"
_ENDED = np.empty(0, dtype=np.void)


class _EndedError(Exception):
    """Another participant has ended before its time."""


class _Wire:
    """Two queues a client, one up and one down, on which every wait is bounded.

    Attributes:
        up: from each client to the server.
        down: from the server to each client.
        turn: held by the participant that computes.

    Args:
        clients: how many there are.
        limit: longest wait for a message, in seconds.
    """

    def __init__(self, clients: int, limit: float) -> None:
        self._limit = limit
        self.turn = threading.Lock()
        self.up: list[queue.Queue[NDArray[Any]]] = [queue.Queue() for _ in range(clients)]
        self.down: list[queue.Queue[NDArray[Any]]] = [queue.Queue() for _ in range(clients)]

    def receive(self, source: queue.Queue[NDArray[Any]]) -> NDArray[Any]:
        """Return the next message.

        Raises:
            _EndedError: there is none, and there will not be one.
        """
        self.turn.release()
        try:
            message = source.get(timeout=self._limit)
        except queue.Empty:
            raise _EndedError from None
        finally:
            self.turn.acquire()
        if message is _ENDED:
            raise _EndedError
        return message

    def close(self, queues: Sequence[queue.Queue[NDArray[Any]]]) -> None:
        """Say that no message will follow."""
        for one in queues:
            one.put(_ENDED)

    @property
    def is_empty(self) -> bool:
        """Whether every message was received, but for those that say that none will follow."""
        queues = [*self.up, *self.down]
        return all(one.get() is _ENDED for one in queues for _ in range(one.qsize()))


class _Participant:
    """What a federation's server and clients all know.

    Args:
        federation: gives numbers and budgets, which the server hands out with the query.
        memory: what this participant remembers in the server's place.
        wire: carries the messages.
    """

    def __init__(self, federation: LiveFederationView, memory: dict[str, Any], wire: _Wire) -> None:
        self.clients, self.cycle = federation.clients, federation.cycle
        self.budgets, self.limits = federation.budgets, federation.limits
        self.total_budget = federation.total_budget
        self.memory = memory
        self._wire = wire


class _Server(_Participant):
    """The server: it computes nothing at a client, and sees what arrives."""

    def __init__(self, federation: LiveFederationView, memory: dict[str, Any], wire: _Wire) -> None:
        super().__init__(federation, memory, wire)
        self.rng = copy.deepcopy(federation.rng)
        self._federation = federation

    @property
    def target(self) -> Any:
        """The target domain, which is at the server."""
        return self._federation.target

    def each(
        self,
        compute: Callable[[ClientView, int], Selection],  # noqa: ARG002
        budgets: Sequence[int] | None = None,
    ) -> list[Selection]:
        """Hand budgets out."""
        handed = np.array(self.budgets if budgets is None else budgets)
        for own, down in zip(handed, self._wire.down, strict=True):
            down.put(np.array(own))
        return [np.empty(0, dtype=np.int64) for _ in range(self.clients)]

    def gather(self, compute: Compute) -> list[NDArray[Any]]:  # noqa: ARG002
        """Wait for every client's array."""
        return [self._wire.receive(up) for up in self._wire.up]

    def broadcast(self, message: NDArray[Any]) -> NDArray[Any]:
        """Send an array to every client."""
        for down in self._wire.down:
            down.put(np.array(message))
        return np.array(message)


class _Client(_Participant):
    """One client: it computes for itself alone."""

    def __init__(
        self,
        federation: LiveFederationView,
        memory: dict[str, Any],
        wire: _Wire,
        view: ClientView,
    ) -> None:
        super().__init__(federation, memory, wire)
        self.rng = np.random.default_rng(view.index)  # not the server's
        self._federation = federation
        self._view = view
        self._up, self._down = wire.up[view.index], wire.down[view.index]

    @property
    def target(self) -> Any:
        """As many samples as the target domain has, all of them zero: the domain is at the server.

        What a client computes from them must not matter, since the server's broadcast replaces it.
        """
        return self._federation.target.blank()

    def each(
        self,
        compute: Callable[[ClientView, int], Selection],
        budgets: Sequence[int] | None = None,  # noqa: ARG002
    ) -> list[Selection]:
        """Compute for itself, with the budget that the server hands out."""
        budget = int(self._wire.receive(self._down))
        nothing: Selection = np.empty(0, dtype=np.int64)
        selections = [nothing] * self.clients
        if budget:
            selections[self._view.index] = compute(self._view, budget)
        return selections

    def gather(self, compute: Compute) -> list[NDArray[Any]]:
        """Send its own array; what the others sent is not known here."""
        message = np.array(compute(self._view))
        self._up.put(message)
        return [message.copy() for _ in range(self.clients)]

    def broadcast(self, message: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        """Wait for the server's array."""
        return self._wire.receive(self._down)


def select_separately(
    make: Callable[[], Strategy],
    federation: LiveFederationView,
    memories: Memories,
    limit: float,
) -> list[list[int]]:
    """Return what each client selects where server and clients exchange nothing but messages.

    Args:
        make: returns a new strategy; called once a participant.
        federation: what a strategy sees of the federation in this query.
        memories: what each participant remembers in the server's place; changed.
        limit: longest wait for a message, in seconds.

    Raises:
        CoordinationError: a participant raised, or waits for a message that is never sent.
    """
    wire = _Wire(federation.clients, limit)
    selected: list[list[int]] = [[] for _ in range(federation.clients)]
    errors: list[str] = []
    server = _Server(federation, memories[-1], wire)

    def serve() -> None:
        with wire.turn:
            _attempt("the server", make, server, errors)
        wire.close(wire.down)

    def take_part(view: ClientView) -> None:
        own = _Client(federation, memories[view.index], wire, view)
        with wire.turn:
            answers = _attempt(f"client {view.index}", make, own, errors)
        if answers is not None:
            selected[view.index] = view.unlabelled[np.asarray(answers[view.index], int)].tolist()
        wire.close([wire.up[view.index]])

    threads = [threading.Thread(target=serve, daemon=True)]
    for view in federation._views:
        threads.append(threading.Thread(target=take_part, args=(_apart(view),), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        # Who waits in vain does so because of another.
        raise CoordinationError(min(errors, key=lambda error: error.endswith(_IN_VAIN)))
    if not wire.is_empty:
        raise CoordinationError("a message was sent that nothing waits for")
    return selected


def _apart(view: ClientView) -> ClientView:
    """Return a client's view whose stream and memory are its own."""
    own: Any = copy.copy(view)
    own.rng, own.memory = copy.deepcopy(view.rng), copy.deepcopy(view.memory)
    view_of_its_own: ClientView = own
    return view_of_its_own


def _attempt(
    who: str, make: Callable[[], Strategy], view: FederationView, errors: list[str]
) -> list[Any] | None:
    try:
        return list(make().select_all(view))
    except _EndedError:
        errors.append(f"{who} {_IN_VAIN}")
    except BaseException as error:
        let_interrupts_pass(error)
        errors.append(f"{who} raised {type(error).__name__}: {message_of(error)}")
    return None
