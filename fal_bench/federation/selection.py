"""Running a strategy's selection: its trainings, its markers, and checks of what it returns."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.errors import (
    AllotmentError,
    CoordinationError,
    PluginError,
    PositionError,
    message_of,
)
from fal_bench.federation.grants import Offer
from fal_bench.federation.journal import Journal
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.learning.model import Model
from fal_bench.learning.request import Trained, TrainRequest
from fal_bench.plugins.strategy import ClientView, FederationView, Strategy, Train

Result = TypeVar("Result")


class LocalTrainer(Protocol):
    """Turns a training that a client asks for into a request to the scheduler."""

    def __call__(self, client: int, order: Train, number: int) -> TrainRequest:
        """Return the request for client ``client``'s ``number``-th training of this cycle."""


class Selecting:
    """One strategy's selection for all clients, in one cycle.

    Args:
        strategy: the strategy.
        federation: what it sees.
        journal: is informed whenever the plugin's own code runs.

    Attributes:
        seconds: time spent in the plugin's code and in the trainings it asked for.
    """

    def __init__(self, strategy: Strategy, federation: FederationView, journal: Journal) -> None:
        self._strategy = strategy
        self._federation = federation
        self._journal = journal
        self.seconds = 0.0

    def run(self, request: LocalTrainer) -> Generator[TrainRequest, Trained, list[Any]]:
        """Have the strategy select for all clients, and train what it asks for on the way.

        Args:
            request: builds the request of a training.

        Returns:
            What each client selected, not yet checked.

        Raises:
            PluginError: the strategy raised, or did not answer for every client (a
                CoordinationError).
        """
        selections = self._call(lambda: list(self._strategy.select_all(self._federation)))
        if len(selections) != self._federation.clients:
            raise CoordinationError(
                f"Strategy {self._strategy.name!r} answered for {len(selections)} of "
                f"{self._federation.clients} clients in cycle {self._federation.cycle}."
            )
        positions = []
        for client, selection in enumerate(selections):
            if isinstance(selection, Generator):
                positions.append((yield from self._drive(client, selection, request)))
            else:
                positions.append(selection)
        return positions

    def _drive(
        self,
        client: int,
        selection: Generator[Train, Model, IntArray],
        request: LocalTrainer,
    ) -> Generator[TrainRequest, Trained, Any]:
        """Run one client's generator to its end."""
        model: Model | None = None
        for number in itertools.count():
            step = self._call(partial(_advance, selection, model), client)
            if isinstance(step, _Done):
                return step.value
            wanted = request(client, step, number)
            answer = yield wanted
            self.seconds += answer.seconds
            model = Model(wanted.architecture, answer.weights[0])
        raise AssertionError("unreachable")

    def _call(self, function: Callable[[], Result], client: int | None = None) -> Result:
        """Run plugin code: marked in the journal, timed, and blamed if it raises."""
        started = time.perf_counter()
        try:
            with self._journal.plugin_call(self._federation.cycle):
                return function()
        except BaseException as error:
            let_interrupts_pass(error)
            if client is not None:
                error.add_note(f"client {client}")
            raise _blame(self._strategy, self._federation.cycle, error) from error
        finally:
            self.seconds += time.perf_counter() - started


@dataclass(frozen=True)
class _Done:
    value: Any


def _advance(selection: Generator[Train, Model, IntArray], model: Model | None) -> Train | _Done:
    """Take a generator one step further; its return value comes wrapped."""
    try:
        return next(selection) if model is None else selection.send(model)
    except StopIteration as stop:
        return _Done(stop.value)


def check_selections(
    strategy: Strategy,
    views: Sequence[ClientView],
    offer: Offer,
    asked: Sequence[int],
    selections: Sequence[Any],
) -> list[IntArray]:
    """Return selections as they will be bought, or say exactly how they break the contract.

    Args:
        strategy: who selected.
        views: for whom.
        offer: what may be bought.
        asked: further votes that each client has bought of it.
        selections: what was returned, one a client.

    Raises:
        PluginError: a selection is not a 1-D integer array of distinct positions inside the pool
            (a PositionError), there are not as many as the budget asks for, or they break the
            limits of an allotment (an AllotmentError).
    """
    checked = [
        check_positions(strategy, view, chosen, int(limit), votes, exact=offer.is_fixed)
        for view, chosen, limit, votes in zip(views, selections, offer.limits, asked, strict=True)
    ]
    check_total(strategy, views[0].cycle, sum(map(len, checked)) + sum(asked), offer)
    return checked


def check_total(strategy: Strategy, cycle: int, bought: int, offer: Offer) -> None:
    """Check that all clients together bought what they may.

    Args:
        strategy: who selected.
        cycle: in which cycle.
        bought: labels of all clients, further votes included.
        offer: what may be bought.

    Raises:
        AllotmentError: they bought more or, if the strategy is not adaptive, less.
    """
    if bought > offer.total or (bought < offer.total and not strategy.adaptive):
        raise AllotmentError(
            f"Strategy {strategy.name!r}, cycle {cycle}: all clients together must select "
            f"{'at most' if strategy.adaptive else 'exactly'} {offer.total} labels "
            f"(federation.total_budget), not {bought}."
        )


def check_positions(
    strategy: Strategy, view: ClientView, positions: Any, limit: int, votes: int, *, exact: bool
) -> IntArray:
    """Return one client's selection as it will be bought, or say how it breaks the contract.

    Args:
        strategy: who selected.
        view: for whom.
        positions: what was returned.
        limit: labels that the client may buy at most.
        votes: further votes that it has bought of them.
        exact: whether it must buy all of them, unless the strategy is adaptive.

    Raises:
        PluginError: it is not a 1-D integer array of distinct positions inside the pool (a
            PositionError), or there are not as many as there must be.
    """
    said = (
        f"Strategy {strategy.name!r}, client {view.index}, cycle {view.cycle}: select must return"
    )
    pool = len(view.unlabelled)
    try:
        array = np.asarray(positions)
    except Exception:  # ragged lists, tensors that need a gradient
        array = np.empty((), dtype=object)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise PluginError(f"{said} a 1-D integer array, not {_kind(positions, array)}.")
    if array.size and (array.min() < 0 or array.max() >= pool):
        bad = array[(array < 0) | (array >= pool)][0]
        raise PositionError(f"{said} positions in client.unlabelled (0 to {pool - 1}), not {bad}.")
    if len(np.unique(array)) != len(array):
        raise PluginError(f"{said} each position once; some are repeated.")
    limit -= votes
    besides = f" beside {votes} further votes" if votes else ""
    if len(array) > limit:
        coordinated = type(strategy).select_all is not Strategy.select_all
        kind = AllotmentError if coordinated else PluginError
        raise kind(f"{said} at most {limit} positions{besides}, not {len(array)}.")
    if len(array) < limit and exact and not strategy.adaptive:
        raise PluginError(
            f"{said} exactly {limit} positions{besides}, not {len(array)} (or declare adaptive = "
            "True)."
        )
    return array.astype(np.int64)


def _kind(positions: Any, array: NDArray[Any]) -> str:
    """Say what was returned in place of positions."""
    if isinstance(positions, np.ndarray | list | tuple) and array.dtype != object:
        return f"{array.ndim}-D {array.dtype}"
    return "None" if positions is None else f"a {type(positions).__name__}"


def _blame(strategy: Strategy, cycle: int, error: BaseException) -> PluginError:
    where = ", ".join([*getattr(error, "__notes__", []), f"cycle {cycle}"])
    said = message_of(error, type(strategy))
    return PluginError(f"Strategy {strategy.name!r} failed ({where}): {said}")
