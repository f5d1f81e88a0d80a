"""One trial: the real harness runs a strategy for a few cycles on a small federation."""

from __future__ import annotations

import io
import linecache
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from fal_bench.conformance.base import Where
from fal_bench.conformance.deadline import Pulse, within
from fal_bench.conformance.side_effects import (
    GLOBAL_SEED,
    changed,
    digest,
    random_streams,
    restored,
    seed_streams,
    settings,
)
from fal_bench.conformance.watch import Watch
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.ledger import POOL
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.inputs.selector import Selector
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.learning.engine import train
from fal_bench.learning.model import Weights
from fal_bench.plugins.registry import Registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trainer import Trainer

QUERIES: Final = 3
"""Queries of a whole run: what a strategy remembers has been used by then."""

Picks = dict[tuple[int, int], list[int]]
"""Ids that were bought for the query, in order, by (cycle, client)."""

Retrain = Callable[[Weights], Weights]


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

    def plugin_call(
        self,
        cycle: int,
        trainer: str = "",  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Beat the pulse before and after a call."""
        self.beat(cycle)
        return self._around()

    def beat(self, cycle: int) -> None:  # noqa: ARG002
        """Beat the pulse."""
        self._pulse.beat()

    @contextmanager
    def _around(self) -> Iterator[None]:
        yield
        self._pulse.beat(in_plugin=False)


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
            if purpose == POOL:
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

    def where(self, client: int | None = None, cycle: int | None = None) -> Where:
        """Return the input of a client in a cycle, as far as it is known."""
        seed, world = self.setting.streams.seed, self.setting.task.name
        if cycle is None:
            return Where(world, seed, client)
        budgets, pools = self.watch.budgets.get(cycle), self.watch.pools.get(cycle)
        if client is None or budgets is None or pools is None:
            return Where(world, seed, client, cycle)
        return Where(world, seed, client, cycle, budgets[client], pools[client])

    @property
    def place(self) -> Where:
        """Return the input on which it ended, as its error says."""
        client = re.search(r"client (\d+)", str(self.error))
        cycle = max(self.watch.budgets, default=0)
        return self.where(int(client[1]) if client else None, cycle)

    def _charges(self) -> list[tuple[int, int, str, int]]:
        return self.journal.states[-1].charges if self.journal.states else []


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
            streams, rules = random_streams(), settings()
            try:
                _drive(trial, make, queries, retrain, pulse)
            except BaseException as error:
                let_interrupts_pass(error)
                trial.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
            trial.random = changed(streams, random_streams())
            trial.settings = changed(rules, settings())
            trial.numeric = [
                _with_line(one) for one in caught if issubclass(one.category, RuntimeWarning)
            ]

    before = _data(setting)
    pulse.beat(in_plugin=False)
    within(limit, pulse, run)
    trial.mutated = [name for name, value in _data(setting).items() if before[name] != value]
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
