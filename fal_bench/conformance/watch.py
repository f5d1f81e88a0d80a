"""Watching a strategy while the harness runs it: the views stay real, and what it does is noted."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fal_bench.conformance.side_effects import digests
from fal_bench.errors import LabelAccessError, UndeclaredNeedError
from fal_bench.federation.view import LiveClientView, LiveFederationView
from fal_bench.plugins.strategy import Strategy

FREE = ("memory", "rng")
"""What a strategy may change on a view."""

Visit = Callable[[LiveFederationView], None]


@dataclass
class Watch:
    """What one strategy did, over all cycles of a run.

    Attributes:
        visit: called with the federation's view before the strategy is, in every cycle.
        budgets: labels that each client could buy, by cycle.
        pools: size of each client's pool, by cycle.
        undeclared: costly inputs that it touched without declaring them.
        refused: labels that it asked for and that may not be read.
        unsendable: messages of clients that are no arrays.
        mutated: what it changed in place.
    """

    visit: Visit | None = None
    budgets: dict[int, tuple[int, ...]] = field(default_factory=dict)
    pools: dict[int, tuple[int, ...]] = field(default_factory=dict)
    undeclared: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unsendable: list[str] = field(default_factory=list)
    mutated: list[str] = field(default_factory=list)
    _before: dict[str, dict[str, str]] = field(default_factory=dict)
    _federation: LiveFederationView | None = None

    def attach(self, strategy: Strategy) -> Strategy:
        """Have a strategy call ``enter`` before it selects."""
        select_all = strategy.select_all

        def watched(federation: Any) -> Any:
            self.enter(federation)
            return select_all(federation)

        # On the object, so that its class is what the plugin defined.
        vars(strategy)["select_all"] = watched
        return strategy

    def enter(self, federation: LiveFederationView) -> None:
        """Note what the strategy is about to be shown."""
        views = _views(federation)
        self.budgets[federation.cycle] = federation.budgets
        self.pools[federation.cycle] = tuple(len(view.unlabelled) for view in views)
        if self.visit is not None:
            self.visit(federation)
        for view in views:
            self._listen(view)
        self._listen_to_messages(federation)
        self._federation = federation
        self._before = self._digests(federation)

    def leave(self) -> None:
        """Note what changed since ``enter``."""
        if self._federation is None:
            return
        after = self._digests(self._federation)
        for owner, before in self._before.items():
            for name, digest in before.items():
                if after[owner].get(name) != digest:
                    self.mutated.append(f"{owner}: {name.lstrip('_')}")
        self._federation = None

    def _digests(self, federation: LiveFederationView) -> dict[str, dict[str, str]]:
        own = digests(federation, leave_out=(*FREE, "bytes_up", "bytes_down", "_views"))
        views = {f"client {view.index}": digests(view, FREE) for view in _views(federation)}
        return {"federation": own, **views}

    def _listen(self, view: LiveClientView) -> None:
        """Note the errors that a view raises, for a strategy may catch them."""
        where = f"client {view.index}, cycle {view.cycle}"

        def note(name: str, error: Exception) -> None:
            if isinstance(error, UndeclaredNeedError):
                self.undeclared.append(f"client.{name} ({where})")
            elif isinstance(error, LabelAccessError):
                self.refused.append(f"client.{name} ({where}): {error}")

        kind = type(view)
        listening = {
            name: _listened(name, member, note)
            for name, member in inspect.getmembers_static(kind)
            if not name.startswith("_") and (isinstance(member, property) or callable(member))
        }
        # A subclass of the real view's class: isinstance and all else stay as they are.
        view.__class__ = type(kind.__name__, (kind,), listening)

    def _listen_to_messages(self, federation: LiveFederationView) -> None:
        gather, broadcast = federation.gather, federation.broadcast

        def look(message: Any, where: str) -> None:
            if not isinstance(message, np.ndarray) or message.dtype.hasobject:
                self.unsendable.append(f"{where} is a {type(message).__name__}")

        def listening_gather(compute: Callable[[Any], Any]) -> Any:
            def watched(view: Any) -> Any:
                message = compute(view)
                look(message, f"what client {view.index} gathers in cycle {view.cycle}")
                return message

            return gather(watched)

        def listening_broadcast(message: Any) -> Any:
            look(message, f"what the server broadcasts in cycle {federation.cycle}")
            return broadcast(message)

        vars(federation).update(gather=listening_gather, broadcast=listening_broadcast)


def _views(federation: LiveFederationView) -> list[LiveClientView]:
    return [view for view in federation._views if isinstance(view, LiveClientView)]


def _listened(name: str, member: Any, note: Callable[[str, Exception], None]) -> Any:
    if isinstance(member, property):
        return property(_noting(name, member.fget, note), member.fset, member.fdel)
    return _noting(name, member, note)


def _noting(name: str, function: Any, note: Callable[[str, Exception], None]) -> Any:
    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            note(name, error)
            raise

    return noting
