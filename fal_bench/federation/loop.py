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

from fal_bench.errors import DivergedError
from fal_bench.federation.declared import declared_needs
from fal_bench.federation.fedavg import average
from fal_bench.federation.guarded import guarded, unguarded
from fal_bench.federation.journal import Journal, Row
from fal_bench.federation.ledger import Ledger
from fal_bench.federation.models import CycleModels
from fal_bench.federation.query import Query
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.learning.evaluation import evaluate
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Model
from fal_bench.learning.request import Lane, Trained, TrainRequest
from fal_bench.plugins.metric import Metric
from fal_bench.plugins.needs import EpochPredictions, LocalTraining
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
            needs = declared_needs(strategy)
        watched = any(isinstance(need, EpochPredictions) for need in needs)
        mark = partial(journal.plugin_call, state.cycle, trainer.name)
        own_trainer = guarded(trainer, mark)
        training = FederatedTraining(setting, ledger, state, own_trainer, recorded, watched)
        yield from training.run()
        journal.append(training.row())
        if _is_over(setting, ledger, state):
            journal.finish(ledger.charges(), _kept(state, strategy))
            return
        query = Query(setting, ledger, state, training.outcome(), strategy, own_trainer)
        state = yield from query.run(journal)
        journal.checkpoint(state)


@dataclass
class FederatedTraining:
    """The training of one cycle: rounds of local training and averaging, then evaluation.

    Attributes:
        setting: the run's setting.
        ledger: the run's ledger.
        state: the state at the start of the cycle.
        trainer: what clients minimise; a plugin's is guarded, and guarded again where it trains.
        metrics: what is measured.
        keep_epochs: whether the weights after every local epoch of the last round are kept.
    """

    setting: Setting
    ledger: Ledger
    state: RunState
    trainer: Trainer
    metrics: tuple[Metric, ...]
    keep_epochs: bool

    def run(self) -> Run:
        """Train for the task's rounds; ``outcome`` is there afterwards."""
        task = self.setting.task
        model = self._start()
        data = [self._labelled(client) for client in range(task.clients)]
        unlabelled = [self._unlabelled(client) for client in range(task.clients)]
        counts = np.array([len(labels) for _, labels in data])
        measured: list[dict[str, float]] = []
        self.seconds = 0.0
        for number in range(task.rounds):
            lanes = tuple(
                Lane(
                    model.weights,
                    features,
                    labels,
                    self.setting.streams.numpy("batches", self.state.cycle, number, client),
                    round=number,
                    unlabelled=unlabelled[client],
                )
                for client, (features, labels) in enumerate(data)
            )
            recipe = self._recipe(number)
            keep = self.keep_epochs and number == task.rounds - 1
            answer = yield TrainRequest(
                model.architecture, recipe, lanes, self._key(number), keep, self.state.cycle
            )
            self.seconds += answer.seconds
            self._answer = answer
            model = Model(model.architecture, average(answer.weights, counts))
            if number >= task.rounds - task.evaluation_rounds:
                measured.append(self._evaluate(model, data))
        self.model = model
        self.measured = {
            name: float(np.mean([values[name] for values in measured])) for name in measured[0]
        }

    def outcome(self) -> CycleModels:
        """Return the models that the query sees."""
        return CycleModels(self.model, self._answer.weights, self._answer.epochs)

    def row(self) -> Row:
        """Return the cycle's row of the curve."""
        transfer = self.setting.task.rounds * self.setting.task.clients * self.model.nbytes
        paper, strict = self.ledger.paper(), self.ledger.strict()
        return Row(
            cycle=self.state.cycle,
            labels=int(paper.sum()),
            labels_strict=int(strict.sum()),
            metrics=self.measured,
            bytes_up=transfer + self.state.bytes_up,
            bytes_down=transfer + self.state.bytes_down,
            train_seconds=self.seconds,
            select_seconds=self.state.select_seconds,
            labels_by_client=" ".join(map(str, paper)),
            labels_strict_by_client=" ".join(map(str, strict)),
        )

    def _start(self) -> Model:
        architecture = self.setting.architecture
        if self.state.weights is not None:
            return architecture.with_weights(self.state.weights)
        return architecture.fresh(self.setting.streams.torch("init", self.state.cycle))

    def _recipe(self, number: int) -> LocalTraining:
        task, sgd = self.setting.task, self.setting.task.optimiser
        passed = sum(number >= milestone for milestone in sgd.milestones)
        return LocalTraining(
            epochs=task.local_epochs,
            batch_size=task.batch_size,
            lr=sgd.lr * sgd.gamma**passed,
            momentum=sgd.momentum,
            weight_decay=sgd.weight_decay,
            stop_at_accuracy=None,
            trainer=unguarded(self.trainer),
            augmentation=task.augmentation,
        )

    def _key(self, number: int) -> str | None:
        """Name the training of a round, if other runs ask for it too.

        Before any strategy has acted, all runs of one (task, seed) train the same models.
        """
        if self.state.cycle > 0:
            return None
        task, seed = self.setting.task, self.setting.streams.seed
        trainer = f"{self.trainer.name} {self.trainer.params.model_dump_json()}"
        return f"{task.hash}/{seed}/{trainer}/round {number}"

    def _labelled(self, client: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = self.ledger.labelled(client)
        labels = self.ledger.labels(client, ids)
        return self.setting.dataset.train_features[ids], torch.from_numpy(labels)

    def _unlabelled(self, client: int) -> torch.Tensor | None:
        """Return a client's unlabelled samples, if the trainer mixes them."""
        if self.trainer.mixes_unlabelled is None:
            return None
        return self.setting.dataset.train_features[self.ledger.unlabelled(client)]

    def _evaluate(
        self, model: Model, data: Sequence[tuple[torch.Tensor, torch.Tensor]]
    ) -> dict[str, float]:
        """Measure the global model on the test set and on the labels it was trained with."""
        dataset = self.setting.dataset
        on_test, on_train = (
            [one for one in self.metrics if one.samples == samples] for samples in ("test", "train")
        )
        clients = None if dataset.clients is None else dataset.clients.test
        logits = self._logits(model, dataset.test_features)
        measured = evaluate(on_test, logits, dataset.test_labels.numpy(), clients)
        if on_train:
            features, labels = (torch.cat(part) for part in zip(*data, strict=True))
            clients = np.repeat(np.arange(len(data)), [len(own) for _, own in data])
            logits = self._logits(model, features)
            measured |= evaluate(on_train, logits, labels.numpy(), clients)
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


def _kept(state: RunState, strategy: Strategy) -> list[dict[str, Any]]:
    """Return what the strategy keeps of each client's memory."""
    clients = state.memories[:-1]
    return [{name: own[name] for name in strategy.keeps if name in own} for own in clients]


def _is_over(setting: Setting, ledger: Ledger, state: RunState) -> bool:
    """Whether the cap and its confirming query are spent, or no query can follow."""
    task = setting.task
    spent = int(ledger.paper().sum()) >= task.looks[-1]
    return spent or state.cycle + 1 >= task.cycle_limit
