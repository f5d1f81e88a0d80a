"""What a site computes with PyTorch: local training, selections, and how right the model is."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.data.base import Dataset
from fal_bench.data.shares import ClientShares
from fal_bench.deploy.config import Federation
from fal_bench.deploy.labels import EVALUATION, LabelStore
from fal_bench.deploy.ledger import LabelsPendingError, SiteLedger
from fal_bench.deploy.messages import DeploymentError, Message, grouped
from fal_bench.deploy.participants import GatheredError, SiteView
from fal_bench.deploy.samples import DAMAGED, Samples
from fal_bench.errors import PluginError
from fal_bench.federation.declared import declared
from fal_bench.federation.guarded import guarded, unguarded
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.ledger import INITIAL, POOL
from fal_bench.federation.local import ClientRounds, LocalState, recipe_of
from fal_bench.federation.memory import from_json_array, join, split, to_json_array
from fal_bench.federation.query import ClientQuery
from fal_bench.federation.selection import Selecting, check_positions
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.inputs.selector import Selector
from fal_bench.learning.engine import train
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Model, Weights
from fal_bench.learning.request import Momenta, Trained, TrainRequest
from fal_bench.plugins.needs import EpochPredictions
from fal_bench.plugins.registry import current_registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trainer import Trainer
from fal_bench.results.files import write_bytes
from fal_bench.streams import Streams

Result = TypeVar("Result")

_ROUNDS_KEPT: Final = 2
"""What local training left is kept of so many rounds: a round may be asked for twice."""
_MEMORIES_KEPT: Final = 2


class SiteComputing:
    """One site's part of training, queries and evaluation.

    Args:
        federation: what server and sites agree on.
        number: the site's number.
        samples: its samples.
        store: its label store.
        folder: where it keeps what it remembers.
    """

    def __init__(
        self,
        federation: Federation,
        number: int,
        samples: Samples,
        store: LabelStore,
        folder: Path,
    ) -> None:
        self._federation = federation
        self._number = number
        self._samples = samples
        self._store = store
        self._folder = folder

    def train(self, message: Message) -> Message:
        """Train the global model for one round on the site's labels, and return what it became.

        Args:
            message: cycle, round and proximal; the global model, and what is added to gradients.
        """
        cycle, number = int(message.facts["cycle"]), int(message.facts["round"])
        trainer = self._trainer
        state = _read_rounds(self._folder, self._number, cycle, before=number)
        rounds = self._rounds(cycle, state)
        samples = rounds.count(self._number)
        model = self._model(message)
        correction = tensors(message.group("correction")) or None
        proximal = float(message.facts["proximal"])
        recipe = recipe_of(self._federation.task, number, unguarded(trainer), proximal)
        request = rounds.request(number, model, recipe, {self._number: correction})
        [answer] = train([request])
        rounds.note(number, [self._number], answer)
        _write_rounds(self._folder, self._number, cycle, number, rounds.state)
        return Message({"samples": samples}, grouped("weights", numbers(answer.weights[0])))

    def select(self, message: Message) -> Message:
        """Answer one step of a query: the array that the server waits for, or the selection.

        Args:
            message: cycle, budgets, limits and which array is wanted; the global model, and what
                the server has sent in this query.

        Raises:
            LabelsPendingError: the strategy buys labels that people have to give first.
        """
        cycle, wanted = int(message.facts["cycle"]), message.facts["wanted"]
        bought = self._store.closed_query(cycle)
        if wanted is None and bought is not None:
            return Message({"bought": bought})
        strategy = self._strategy
        ledger = self._ledger(cycle)
        model = self._model(message)
        state = _read_rounds(self._folder, self._number, cycle)
        outcome = self._rounds(cycle, state).outcome(model)
        memories = _read_memories(self._folder, cycle)
        run_state = RunState(cycle, [], self._placed(memories["client"]))
        here = [self._number]
        query = ClientQuery(
            self._setting, ledger, run_state, outcome, strategy, self._trainer, here
        )
        limits = [int(one) for one in message.facts["limits"]]
        [view] = _answered(query.views([limits[self._number]]))
        sent = message.group("sent")
        federation = SiteView(
            view,
            [sent[str(place)] for place in range(len(sent))],
            wanted,
            cycle,
            [int(one) for one in message.facts["budgets"]],
            limits,
            rng=np.random.default_rng(self._number),  # not the server's
            memory=memories["federation"],
        )
        selecting = Selecting(strategy, federation, MemoryJournal())
        try:
            selections = _answered(selecting.run(query.request))
        except PluginError as error:
            _pass_on(error, LabelsPendingError)
            found = _cause(error, GatheredError)
            if found is None:
                raise
            return Message({}, {"gathered": found.array})
        votes = ledger.asked(self._number, cycle)
        fixed = message.facts["limits"] == message.facts["budgets"]
        chosen = check_positions(
            strategy, view, selections[self._number], limits[self._number], votes, exact=fixed
        )
        _write_memories(
            self._folder, cycle + 1, {"client": view.memory, "federation": federation.memory}
        )
        ids = view.unlabelled[chosen].tolist()
        self._store.close_query(cycle, ids, POOL, len(ids) + votes)
        return Message({"bought": len(ids) + votes})

    def evaluate(self, message: Message) -> Message:
        """Return how many of the site's evaluation labels the global model predicts.

        Args:
            message: the global model.
        """
        ids = self._evaluation
        if not len(ids):
            return Message({"right": 0, "total": 0})
        labels = self._store.labels(len(self._samples.features))[ids]
        predicted = predict(self._model(message), self._features[ids]).logits.argmax(axis=1)
        return Message({"right": int((predicted == labels).sum()), "total": len(ids)})

    def ask(self, evaluation: int, initial: int) -> None:
        """Ask for the labels that a federation begins with; a second time changes nothing.

        Args:
            evaluation: how many to measure the model with.
            initial: how many to train on.
        """
        if not len(self._evaluation) and evaluation:
            every = np.arange(len(self._samples.features))
            rng = self._streams.numpy("evaluation", self._number)
            self._store.ask(rng.choice(every, evaluation, replace=False).tolist(), EVALUATION, 0)
        rng = self._streams.numpy("initial", self._number)
        drawn = rng.choice(self._shares[self._number].pool, initial, replace=False)
        self._store.ask(np.sort(drawn).tolist(), INITIAL, 0)

    @property
    def _evaluation(self) -> IntArray:
        """Sorted numbers of the samples that the model is measured with."""
        asked = {one for one, _, purpose, _ in self._store.charges() if purpose == EVALUATION}
        return np.array(sorted(asked), dtype=np.int64)

    @property
    def _shares(self) -> tuple[ClientShares, ...]:
        """All of the site's samples but those of the evaluation are its pool."""
        nothing = np.empty(0, dtype=np.int64)
        pool = np.setdiff1d(np.arange(len(self._samples.features)), self._evaluation)
        return tuple(
            ClientShares(nothing, nothing, nothing, pool if number == self._number else nothing)
            for number in range(len(self._federation.sites))
        )

    @cached_property
    def _setting(self) -> Setting:
        """The federation as far as this site knows it: one client's samples, and no labels."""
        federation = self._federation
        # The labels of a site are in its store, and reach anybody through the ledger alone.
        unknown = torch.zeros(len(self._features), dtype=torch.int64)
        dataset = Dataset(
            federation.name,
            self._features,
            unknown,
            self._features[:1],
            unknown[:1],
            len(federation.classes),
        )
        shares = self._shares
        initial = tuple(np.empty(0, dtype=np.int64) for _ in shares)
        return Setting(federation.task, self._streams, dataset, shares, initial)

    @cached_property
    def _features(self) -> torch.Tensor:
        return torch.from_numpy(self._samples.features)

    @cached_property
    def _streams(self) -> Streams:
        return Streams(self._federation.seed, self._federation.task.problem)

    @property
    def _strategy(self) -> Strategy:
        """A new strategy, so that it remembers nothing but its declared memory."""
        return current_registry().strategies.make(strategy_selector(self._federation))

    @cached_property
    def _trainer(self) -> Trainer:
        made = trainer_of(self._federation)
        return guarded(made, nullcontext)

    def _rounds(self, cycle: int, state: LocalState) -> ClientRounds:
        watched = declared(self._strategy, EpochPredictions) is not None
        return ClientRounds(
            self._setting,
            self._ledger(cycle),
            cycle,
            self._trainer,
            keep_epochs=watched,
            clients=[self._number],
            state=state,
        )

    def _ledger(self, cycle: int) -> SiteLedger:
        samples = len(self._samples.features)
        return SiteLedger(self._store, self._number, self._shares, samples, cycle)

    def _model(self, message: Message) -> Model:
        return self._setting.architecture.with_weights(tensors(message.group("weights")))

    def _placed(self, memory: dict[str, Any]) -> list[dict[str, Any]]:
        """Return memories in the order of clients, in which all but the site's own are empty."""
        memories: list[dict[str, Any]] = [{} for _ in range(len(self._federation.sites) + 1)]
        memories[self._number] = memory
        return memories


def strategy_selector(federation: Federation) -> Selector:
    """Return a federation's strategy without its trainer."""
    given = federation.selector
    return Selector(given.name, {key: one for key, one in given.params.items() if key != "trainer"})


def trainer_of(federation: Federation) -> Trainer:
    """Return what sites minimise: the trainer of the selector, or the strategy's own."""
    return current_registry().trainers.make(federation.trainer)


def numbers(weights: Weights) -> dict[str, NDArray[Any]]:
    """Return weights as arrays."""
    return {name: tensor.numpy(force=True) for name, tensor in weights.items()}


def tensors(arrays: dict[str, NDArray[Any]]) -> Weights:
    """Return arrays as weights."""
    # Copies, because what a message holds may be read-only.
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _answered(steps: Generator[TrainRequest, Trained, Result]) -> Result:
    """Run steps to their end, and train what they ask for."""
    try:
        request = next(steps)
        while True:
            request = steps.send(train([request])[0])
    except StopIteration as stop:
        result: Result = stop.value
        return result


def _cause(error: BaseException, kind: type[Result]) -> Result | None:
    """Return the error of a kind that led to another one, if there is one."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, kind):
            return found
        found = found.__cause__
    return None


def _pass_on(error: BaseException, kind: type[BaseException]) -> None:
    if (found := _cause(error, kind)) is not None:
        raise found


# What a site remembers between two messages.


def _rounds_file(folder: Path, cycle: int, number: int) -> Path:
    return folder / f"round-{cycle:06d}-{number:06d}.npz"


def _read_rounds(folder: Path, site: int, cycle: int, before: int | None = None) -> LocalState:
    """Return what the last local training of a cycle left; nothing if there was none.

    Args:
        folder: the site's folder.
        site: its number.
        cycle: the cycle.
        before: only trainings of rounds before this one count.
    """
    paths = sorted(folder.glob(f"round-{cycle:06d}-*.npz"))
    if before is not None:
        paths = [path for path in paths if path < _rounds_file(folder, cycle, before)]
    if not paths:
        return LocalState()
    arrays = loaded(paths[-1])
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = array
    state = LocalState({site: tensors(parts["previous"])} if "previous" in parts else {})
    epochs = sorted(part for part in parts if part.startswith("epoch-"))
    if epochs:
        state.epochs[site] = tuple(tensors(parts[part]) for part in epochs)
    if "steps" in parts:
        first, second = (tensors(parts.get(name, {})) for name in ("first", "second"))
        state.momenta[site] = Momenta(int(parts["steps"][""]), first, second)
    return state


def _write_rounds(folder: Path, site: int, cycle: int, number: int, state: LocalState) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    if site in state.previous:
        arrays |= grouped("previous", numbers(state.previous[site]))
    for place, weights in enumerate(state.epochs.get(site, ())):
        arrays |= grouped(f"epoch-{place:06d}", numbers(weights))
    if (momenta := state.momenta.get(site)) is not None:
        arrays["steps"] = np.array(momenta.steps)
        arrays |= grouped("first", numbers(momenta.first))
        arrays |= grouped("second", numbers(momenta.second))
    own = _rounds_file(folder, cycle, number)
    _save(own, arrays)
    earlier = sorted(path for path in folder.glob("round-*.npz") if path < own)
    for path in earlier[: 1 - _ROUNDS_KEPT]:
        path.unlink(missing_ok=True)
    for path in folder.glob("round-*.npz"):  # of a cycle that is trained a second time
        if path > own:
            path.unlink(missing_ok=True)


def _read_memories(folder: Path, cycle: int) -> dict[str, dict[str, Any]]:
    """Return what the strategy remembers before a cycle's query."""
    path = folder / f"memory-{cycle:06d}.npz"
    if not path.exists():
        return {"client": {}, "federation": {}}
    arrays = loaded(path)
    memories: dict[str, dict[str, Any]] = join(from_json_array(arrays["memories"]), arrays)
    return memories


def _write_memories(folder: Path, cycle: int, memories: dict[str, dict[str, Any]]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    plain = split(memories, arrays)
    _save(folder / f"memory-{cycle:06d}.npz", {"memories": to_json_array(plain), **arrays})
    for path in sorted(folder.glob("memory-*.npz"))[:-_MEMORIES_KEPT]:
        path.unlink(missing_ok=True)


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def loaded(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file that was kept.

    Raises:
        DeploymentError: it is damaged.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return dict(file)
    except DAMAGED as error:
        raise DeploymentError(
            f"{str(path)!r} is damaged ({error}); restore its folder from a copy."
        ) from None
