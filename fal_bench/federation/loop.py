"""One run: the loop over cycles of training, evaluation, query and annotation.

The run is plain sequential code written as a generator: it yields its training requests and is
sent the trained weights. Who trains them, and together with whose, is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fal_bench.arrays import IntArray
from fal_bench.errors import DivergedError
from fal_bench.federation.attendance import Attendance
from fal_bench.federation.declared import declared
from fal_bench.federation.guarded import Guard, guarded, unguarded
from fal_bench.federation.journal import LABELS_COST, Journal, Row
from fal_bench.federation.ledger import Ledger
from fal_bench.federation.local import ClientRounds, recipe_of, update_of
from fal_bench.federation.models import CycleModels
from fal_bench.federation.query import Query
from fal_bench.federation.rounds import Coordinator, coordinator_of
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.learning.evaluation import evaluate
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Model
from fal_bench.learning.request import Trained, TrainRequest
from fal_bench.plugins.built_in import AGGREGATION, TRAINER, Kind
from fal_bench.plugins.metric import Metric
from fal_bench.plugins.needs import EpochPredictions, RoundSnapshots
from fal_bench.plugins.registry import current_registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trainer import Trainer
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY

Run = Generator[TrainRequest, Trained, None]
"""Yields training requests and is sent their answers."""


def simulate(
    setting: Setting,
    make_strategy: Callable[[], Strategy],
    journal: Journal,
    trainer: Trainer = CROSS_ENTROPY,
    metrics: Sequence[Metric] | None = None,
) -> Run:
    """Run one learning curve from where its journal stands to its end.

    Args:
        setting: the (task, seed) with its data.
        make_strategy: returns a new strategy; called once a cycle, so that nothing survives a
            cycle outside the declared memory, and a resumed run equals an uninterrupted one.
        journal: receives rows and checkpoints.
        trainer: what clients minimise.
        metrics: what is measured each cycle; all that there are if None.

    Yields:
        Training requests; the answer is sent back in.
    """
    recorded = current_registry().metrics.all() if metrics is None else tuple(metrics)
    ledger = setting.open_ledger()
    state = journal.resume()
    if state is None:
        clients = setting.task.clients
        state = RunState(0, ledger.charges(), [{} for _ in range(clients + 1)])
    ledger.restore(state.charges)
    while True:
        with journal.plugin_call(state.cycle):
            strategy = make_strategy()
            kept = Kept.by(strategy)
        own_trainer = guarded(trainer, _guard(journal, state, TRAINER, trainer.name))
        guard = _guard(journal, state, AGGREGATION, setting.task.aggregation.kind)
        coordinator = coordinator_of(
            setting.task, setting.architecture, setting.streams, state, guard
        )
        training = FederatedTraining(
            setting, ledger, state, own_trainer, coordinator, recorded, kept
        )
        yield from training.run()
        journal.append(training.row())
        if _is_over(setting, ledger, state):
            journal.finish(ledger.charges(), _kept(state, strategy), state.unrecorded)
            return
        query = Query(setting, ledger, state, training.outcome(), strategy, own_trainer)
        state = yield from query.run(journal)
        if state.weights is not None:
            state.aggregation = coordinator.memories
        journal.checkpoint(state)


@dataclass(frozen=True)
class Kept:
    """What a strategy wants to be kept of a cycle's training, besides what it ends with.

    Attributes:
        epochs: whether the weights after every local epoch of a client's last round are.
        snapshots: the rounds after which the global model is; none if None.
    """

    epochs: bool
    snapshots: RoundSnapshots | None

    @classmethod
    def by(cls, strategy: Strategy) -> Kept:
        """Read what a strategy declares."""
        epochs = declared(strategy, EpochPredictions) is not None
        return cls(epochs, declared(strategy, RoundSnapshots))


@dataclass
class FederatedTraining:
    """The training of one cycle: rounds of local training and aggregation, then evaluation.

    Attributes:
        setting: the run's setting.
        ledger: the run's ledger.
        state: the state at the start of the cycle.
        trainer: what clients minimise; a plugin's is guarded, and guarded again where it trains.
        coordinator: the server, with the model that the cycle starts from.
        metrics: what is measured.
        kept: what is kept of it for the strategy.
    """

    setting: Setting
    ledger: Ledger
    state: RunState
    trainer: Trainer
    coordinator: Coordinator
    metrics: tuple[Metric, ...]
    kept: Kept

    def run(self) -> Run:
        """Train for the task's rounds; ``outcome`` is there afterwards."""
        task = self.setting.task
        self.clients = ClientRounds(
            self.setting, self.ledger, self.state.cycle, self.trainer, keep_epochs=self.kept.epochs
        )
        self._received, self._sent = 0, 0
        self._snapshots: list[Model] = []
        measured: list[dict[str, float]] = []
        self.seconds = 0.0
        for number in range(task.rounds):
            attendance = Attendance.draw(task, self.setting.streams, self.state.cycle, number)
            self._received += len(attendance.asked)
            self._sent += len(attendance.present)
            yield from self._round(
                number, [one for one in attendance.present if self.clients.count(one)]
            )
            if self.kept.snapshots and self.kept.snapshots.keeps(number):
                self._snapshots.append(self.coordinator.model)
            if number >= task.rounds - task.evaluation_rounds:
                measured.append(
                    self._evaluate(self.coordinator.model, list(self.clients.data.values()))
                )
        self.model = self.coordinator.model
        self.measured = {
            name: float(np.mean([values[name] for values in measured])) for name in measured[0]
        }

    def _round(self, number: int, clients: Sequence[int]) -> Run:
        """Train some clients, all of which have labels, and aggregate; without any, do nothing."""
        if not clients:
            return
        coordinator = self.coordinator
        trainer = unguarded(self.trainer)
        recipe = recipe_of(self.setting.task, number, trainer, coordinator.proximal)
        corrections = {client: coordinator.correction(client) for client in clients}
        answer = yield self.clients.request(
            number, coordinator.model, recipe, corrections, self._key(number)
        )
        self.seconds += answer.seconds
        self.clients.note(number, clients, answer)
        coordinator.combine(
            [
                update_of(client, self.clients.count(client), weights, recipe)
                for client, weights in zip(clients, answer.weights, strict=True)
            ]
        )

    def outcome(self) -> CycleModels:
        """Return the models that the query sees."""
        return self.clients.outcome(self.model, tuple(self._snapshots))

    def row(self) -> Row:
        """Return the cycle's row of the curve."""
        message = self.model.nbytes * self.coordinator.messages
        paper, strict = self.ledger.paper(), self.ledger.strict()
        return Row(
            cycle=self.state.cycle,
            labels=int(paper.sum()),
            labels_strict=int(strict.sum()),
            metrics=self.measured | self._cost(strict),
            bytes_up=self._sent * message + self.state.bytes_up,
            bytes_down=self._received * message + self.state.bytes_down,
            train_seconds=self.seconds,
            select_seconds=self.state.select_seconds,
            labels_by_client=" ".join(map(str, paper)),
            labels_strict_by_client=" ".join(map(str, strict)),
        )

    def _cost(self, labels: IntArray) -> dict[str, float]:
        """Return what labels of each client cost together, where the task has prices."""
        setting = self.setting
        return {LABELS_COST: float(setting.prices @ labels)} if setting.task.label_cost else {}

    def _key(self, number: int) -> str | None:
        """Name the training of a round, if other runs ask for it too.

        Before any strategy has acted, all runs of one (task, seed) train the same models.
        """
        if self.state.cycle > 0:
            return None
        task, seed = self.setting.task, self.setting.streams.seed
        trainer = f"{self.trainer.name} {self.trainer.params.model_dump_json()}"
        return f"{task.hash}/{seed}/{trainer}/round {number}"

    def _evaluate(
        self, model: Model, data: Sequence[tuple[torch.Tensor, torch.Tensor]]
    ) -> dict[str, float]:
        """Measure the global model on the test set and on the labels it was trained with."""
        dataset = self.setting.dataset
        failed = self.state.unrecorded
        on_test, on_train = (
            [one for one in self.metrics if one.samples == samples] for samples in ("test", "train")
        )
        clients = None if dataset.clients is None else dataset.clients.test
        logits = self._logits(model, dataset.test_features)
        measured = evaluate(
            on_test, logits, dataset.test_labels.numpy(), clients, unrecorded=failed
        )
        if on_train:
            features, labels = (torch.cat(part) for part in zip(*data, strict=True))
            clients = np.repeat(np.arange(len(data)), [len(own) for _, own in data])
            logits = self._logits(model, features)
            measured |= evaluate(on_train, logits, labels.numpy(), clients, unrecorded=failed)
        return measured

    def _logits(self, model: Model, features: torch.Tensor) -> NDArray[np.float32]:
        """Return a model's outputs as the trainer reads them."""
        logits = predict(model, features).logits
        if not np.isfinite(logits).all():
            raise DivergedError(
                f"Training with {self.trainer.name!r} diverged in cycle {self.state.cycle}: the "
                "global model's outputs are not finite; lower the task's learning rate, or correct "
                "the trainer's loss."
            )
        if self.trainer != CROSS_ENTROPY:
            # Logarithms of probabilities are logits that the softmax leaves as they are.
            logits = np.log(np.maximum(self.trainer.probs(logits), np.finfo(np.float32).tiny))
        return logits


def _guard(journal: Journal, state: RunState, kind: Kind, name: str) -> Guard:
    """Return what marks a call of a plugin's code."""
    return partial(journal.plugin_call, state.cycle, kind, name)


def _kept(state: RunState, strategy: Strategy) -> list[dict[str, Any]]:
    """Return what the strategy keeps of each client's memory."""
    clients = state.memories[:-1]
    return [{name: own[name] for name in strategy.keeps if name in own} for own in clients]


def _is_over(setting: Setting, ledger: Ledger, state: RunState) -> bool:
    """Whether the cap and its confirming query are spent, or no query can follow."""
    task = setting.task
    spent = int(ledger.paper().sum()) >= task.looks[-1]
    return spent or state.cycle + 1 >= task.cycle_limit
