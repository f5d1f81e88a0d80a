"""One trial: the real harness runs a strategy for a few cycles on a small federation.

The views that the strategy gets stay real; what it does with them is noted.
"""

from __future__ import annotations

import functools
import inspect
import io
import linecache
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from fal_bench.conformance.deadline import Pulse, within
from fal_bench.conformance.side_effects import (
    GLOBAL_SEED,
    Before,
    Digests,
    digest,
    digests,
    restored,
    seed_streams,
)
from fal_bench.errors import LabelAccessError, UndeclaredNeedError
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.ledger import FURTHER, POOL
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.federation.view import LiveClientView, LiveFederationView
from fal_bench.inputs.selector import Selector
from fal_bench.isolation.calls import NO_CALLS, Call
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.learning.engine import train
from fal_bench.learning.model import Weights
from fal_bench.plugins.built_in import STRATEGY, Kind
from fal_bench.plugins.registry import Registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trainer import Trainer

QUERIES: Final = 3
"""Queries of a whole run: what a strategy remembers has been used by then."""

Picks = dict[tuple[int, int], list[int]]
"""Ids that were bought for the query, in order, by (cycle, client)."""

Retrain = Callable[[Weights], Weights]


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
            for name, was in before.items():
                if after[owner].get(name) != was:
                    self.mutated.append(f"{owner}: {name.lstrip('_')}")
        self._federation = None

    def _digests(self, federation: LiveFederationView) -> dict[str, dict[str, str]]:
        known = Digests()
        own = digests(federation, known, (*FREE, "bytes_up", "bytes_down", "_views"))
        views = {f"client {view.index}": digests(view, known, FREE) for view in _views(federation)}
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


class TrialJournal(MemoryJournal):
    """A journal that tells a watch of the cycles, and a pulse of every step.

    Args:
        start: the state to go on from.
        watch: learns when a cycle's query is over.
        pulse: beaten whenever the plugin is called or gets on.
    """

    def __init__(self, start: RunState | None, watch: Watch, pulse: Pulse) -> None:
        super().__init__()
        self._start = start
        self._watch = watch
        self._pulse = pulse

    def resume(self) -> RunState | None:
        """Return the state to go on from."""
        return self._start

    def checkpoint(self, state: RunState) -> None:
        """Keep the state, as a file would."""
        super().checkpoint(state)
        self._watch.leave()

    @contextmanager
    def plugin_call(self, cycle: int, kind: Kind = STRATEGY, name: str = "") -> Iterator[None]:
        """Beat the pulse before and after a call."""
        self._pulse.beat()
        who = f"{kind.word.capitalize()} {name!r}" if name else "The strategy"
        with NO_CALLS.open(Call(who, f"cycle {cycle}", ours=True)):
            yield
        self._pulse.beat(in_plugin=False)

    def beat(self, cycle: int) -> None:  # noqa: ARG002
        """Beat the pulse."""
        self._pulse.beat()


@dataclass
class Trial:
    """What a run of the harness came to.

    Attributes:
        setting: the federation, as the strategy left it.
        watch: what the strategy did.
        journal: rows, states and charges.
        error: what ended it early.
        numeric: NumPy's warnings of invalid values and divisions by zero, with their place.
        random: global random streams that were touched.
        settings: settings of the process that were changed.
        mutated: data of the federation that were changed.
    """

    setting: Setting
    watch: Watch
    journal: TrialJournal
    error: Exception | None = None
    numeric: list[str] = field(default_factory=list)
    random: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    mutated: list[str] = field(default_factory=list)

    @property
    def picks(self) -> Picks:
        """What was bought for the queries of this run."""
        picks: Picks = {}
        for client, sample, purpose, cycle in self._charges():
            if purpose in (POOL, FURTHER):
                picks.setdefault((cycle, client), []).append(sample)
        return picks

    def read_before(self, query: int) -> set[int]:
        """Return the samples whose labels were read before the end of a query's selection."""
        return {
            sample
            for _, sample, purpose, cycle in self._charges()
            if cycle < query or (cycle == query and purpose != POOL)
        }

    @property
    def messages(self) -> int:
        """Bytes that the strategy sent, in all queries together."""
        return sum(state.bytes_up + state.bytes_down for state in self.journal.states)

    def first_difference(self, other: Trial, cycles: int | None = None) -> tuple[int, int] | None:
        """Return (client, cycle) of the first query in which another run selected otherwise.

        Args:
            other: the other run.
            cycles: compare only the first so many cycles; all if None.
        """
        ours, theirs = self.picks, other.picks
        for cycle, client in sorted(ours.keys() | theirs.keys()):
            if cycles is not None and cycle >= cycles:
                return None
            if ours.get((cycle, client)) != theirs.get((cycle, client)):
                return client, cycle
        return None

    def where(self, client: int | None = None, cycle: int | None = None) -> str:
        """Return the input of a client in a cycle in words, as far as it is known."""
        seed, world = self.setting.streams.seed, self.setting.task.name
        budgets, pools = self.watch.budgets, self.watch.pools
        if client is None or cycle is None or cycle not in budgets:
            return input_of(world, seed, client=client, cycle=cycle)
        more = {"budget": budgets[cycle][client], "pool": pools[cycle][client]}
        return input_of(world, seed, client=client, cycle=cycle, **more)

    @property
    def place(self) -> str:
        """Return the input on which it ended, as its error says."""
        client = re.search(r"client (\d+)", str(self.error))
        cycle = max(self.watch.budgets, default=0)
        return self.where(int(client[1]) if client else None, cycle)

    def _charges(self) -> list[tuple[int, int, str, int]]:
        return self.journal.states[-1].charges if self.journal.states else []


def input_of(world: str, seed: int, **known: int | None) -> str:
    """Return the input on which a check failed in words; what is None is left out.

    Args:
        world: name of the small federation.
        seed: its seed.
        known: the client, the cycle, labels that the client could buy, size of its pool.
    """
    parts = [f"{name} {value}" for name, value in known.items() if value is not None]
    return ", ".join([f"world {world}", *parts, f"seed {seed}"])


def run_trial(
    make: Callable[[], Strategy],
    setting: Setting,
    *,
    limit: float,
    queries: int = QUERIES,
    global_seed: int = GLOBAL_SEED,
    retrain: Retrain | None = None,
    start: RunState | None = None,
    watch: Watch | None = None,
) -> Trial:
    """Run a strategy in the real harness, and note what it does.

    Args:
        make: returns a new strategy, once a cycle.
        setting: the federation; nothing else may hold it.
        limit: longest silence of the plugin, in seconds.
        queries: cycles with a query; fewer happen if the run ends.
        global_seed: where the process's global random streams start.
        retrain: changes the weights of every model that is trained.
        start: the state to go on from.
        watch: notes what the strategy does.

    Raises:
        HangError: the plugin hangs.
    """
    pulse = Pulse()
    watch = watch or Watch()
    trial = Trial(setting, watch, TrialJournal(start, watch, pulse))

    def run() -> None:
        with (
            restored(unless=lambda: pulse.abandoned),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            seed_streams(global_seed)
            before = Before()
            try:
                _drive(trial, make, queries, retrain, pulse)
            except BaseException as error:
                let_interrupts_pass(error)
                trial.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
            trial.random = before.drawn()
            trial.settings = before.changed()
            trial.numeric = [
                _with_line(one) for one in caught if issubclass(one.category, RuntimeWarning)
            ]

    data = _data(setting)
    pulse.beat(in_plugin=False)
    within(limit, pulse, run)
    trial.mutated = [name for name, value in _data(setting).items() if data[name] != value]
    return trial


def as_resumed(state: RunState) -> RunState:
    """Return a state as it comes back from a file."""
    file = io.BytesIO()
    np.savez(file, **state.to_arrays())  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return RunState.from_arrays(dict(arrays))


def _drive(
    trial: Trial,
    make: Callable[[], Strategy],
    queries: int,
    retrain: Retrain | None,
    pulse: Pulse,
) -> None:
    """Answer the run's requests until it ends or has had its queries."""
    journal = trial.journal

    def make_watched() -> Strategy:
        pulse.beat()
        strategy = trial.watch.attach(make())
        pulse.beat(in_plugin=False)
        return strategy

    pulse.beat()
    trainer = _own_trainer(make())
    pulse.beat(in_plugin=False)
    run = simulate(trial.setting, make_watched, journal, trainer)
    try:
        request = next(run)
        while len(journal.states) < queries:
            [answer] = train([request])
            pulse.beat(in_plugin=False)
            if retrain is not None:
                answer = replace(answer, weights=tuple(map(retrain, answer.weights)))
            request = run.send(answer)
    except StopIteration:
        return
    finally:
        run.close()


def _own_trainer(strategy: Strategy) -> Trainer:
    """Return the trainer that a strategy names: an installed one, or one of its own module."""
    selector = Selector.parse(strategy.trainer)
    table = Registry.discover().trainers
    if selector.name not in table.names():
        module = sys.modules[type(strategy).__module__]
        for member in vars(module).values():
            of_its_own = isinstance(member, type) and issubclass(member, Trainer)
            if of_its_own and vars(member).get("name") == selector.name:
                own: Trainer = member(dict(selector.params))
                return own
    return table.make(selector)


def _data(setting: Setting) -> dict[str, str]:
    dataset = setting.dataset
    return {
        "the training images": digest(dataset.train_features),
        "the training labels": digest(dataset.train_labels),
        "the test images": digest(dataset.test_features),
        "the test labels": digest(dataset.test_labels),
        "the clients' shares": digest(setting.shares),
        "the initial labels": digest(setting.initial),
    }


def _with_line(warning: warnings.WarningMessage) -> str:
    line = linecache.getline(warning.filename, warning.lineno).strip()
    name = warning.filename.rpartition("/")[2]
    return f"{warning.message} ({name}, line {warning.lineno}: {line})"


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
