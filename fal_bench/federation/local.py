"""What clients do in the rounds of one cycle: local training on their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from fal_bench.federation.ledger import Ledger
from fal_bench.federation.models import CycleModels, copied
from fal_bench.federation.rounds import gradients_of, steps_of
from fal_bench.federation.setting import Setting
from fal_bench.learning.model import Model, Weights
from fal_bench.learning.request import Lane, Momenta, Trained, TrainRequest
from fal_bench.plugins.aggregation import Update
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.trainer import Trainer
from fal_bench.task import Task


@dataclass
class LocalState:
    """What clients remember of the rounds so far, by client.

    Attributes:
        previous: weights after the last local training, before they were aggregated.
        epochs: weights after each local epoch of it, if they are kept.
        momenta: what the optimiser goes on with, if the task keeps it.
    """

    previous: dict[int, Weights] = field(default_factory=dict)
    epochs: dict[int, tuple[Weights, ...]] = field(default_factory=dict)
    momenta: dict[int, Momenta] = field(default_factory=dict)


class ClientRounds:
    """The clients' side of the rounds of one cycle.

    Args:
        setting: the run's setting.
        ledger: the run's ledger.
        cycle: the cycle.
        trainer: what clients minimise.
        keep_epochs: whether the weights after every local epoch of a client's last round are kept.
        clients: the clients that are here: all in a simulation, one at a site; all if None.
        state: what they remember; nothing if None.

    Attributes:
        data: features and labels that each client trains on, by client.
        state: what the clients remember.
    """

    def __init__(
        self,
        setting: Setting,
        ledger: Ledger,
        cycle: int,
        trainer: Trainer,
        *,
        keep_epochs: bool,
        clients: Sequence[int] | None = None,
        state: LocalState | None = None,
    ) -> None:
        self._setting = setting
        self._ledger = ledger
        self._cycle = cycle
        self._trainer = trainer
        self._keep_epochs = keep_epochs
        self._clients = range(setting.task.clients) if clients is None else clients
        self.state = state or LocalState()
        self.data = {client: self._labelled(client) for client in self._clients}
        self._unlabelled = {client: self._pool(client) for client in self._clients}

    def count(self, client: int) -> int:
        """Return how many labels a client trains with."""
        return len(self.data[client][1])

    def request(
        self,
        number: int,
        model: Model,
        recipe: LocalTraining,
        corrections: dict[int, Weights | None],
        key: str | None = None,
    ) -> TrainRequest:
        """Return the request for a round's trainings.

        Args:
            number: the round, from 0.
            model: the global model.
            recipe: how they train.
            corrections: what each client that trains adds to every gradient, by client.
            key: what names the training, if other runs ask for it too.
        """
        keep = self._keep_epochs and self._may_be_last(number)
        lanes = tuple(
            self._lane(number, client, model, correction)
            for client, correction in corrections.items()
        )
        return TrainRequest(model.architecture, recipe, lanes, key, keep, self._cycle)

    def note(self, number: int, clients: Sequence[int], answer: Trained) -> None:
        """Remember what became of the trainings of some clients in a round."""
        if self._may_be_last(number):
            # Weights may be rows of one tensor, which a client must not keep alive for all others.
            own = map(copied, answer.weights) if self._seldom else answer.weights
            self.state.previous.update(zip(clients, own, strict=True))
        if any(answer.epochs):
            self.state.epochs.update(zip(clients, answer.epochs, strict=True))
        for client, momenta in zip(clients, answer.momenta, strict=True):
            if momenta is not None:
                self.state.momenta[client] = momenta

    def outcome(self, model: Model, snapshots: tuple[Model, ...] = ()) -> CycleModels:
        """Return the models that the query sees; a client that never trained has the global one.

        Args:
            model: the global model after the last round.
            snapshots: the global model after some rounds, if they were kept.
        """
        clients, weights = range(self._setting.task.clients), model.weights
        epochs: tuple[tuple[Weights, ...], ...] = ()
        if self._keep_epochs:
            never = (weights,) * self._setting.task.local_epochs
            epochs = tuple(self.state.epochs.get(client, never) for client in clients)
        previous = tuple(self.state.previous.get(client, weights) for client in clients)
        return CycleModels(model, previous, epochs, snapshots)

    @property
    def _seldom(self) -> bool:
        """Whether clients miss rounds, and may have had their last one before the last of all."""
        task = self._setting.task
        return task.participation < 1 or task.dropouts > 0

    def _may_be_last(self, number: int) -> bool:
        """Whether a round may be a client's last one."""
        return self._seldom or number == self._setting.task.rounds - 1

    def _lane(self, number: int, client: int, model: Model, correction: Weights | None) -> Lane:
        features, labels = self.data[client]
        momenta = None
        if self._setting.task.optimiser.state == "kept":
            momenta = self.state.momenta.get(client, Momenta())
        return Lane(
            model.weights,
            features,
            labels,
            self._setting.streams.numpy("batches", self._cycle, number, client),
            round=number,
            unlabelled=self._unlabelled[client],
            correction=correction,
            momenta=momenta,
        )

    def _labelled(self, client: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = self._ledger.labelled(client)
        labels = self._ledger.labels(client, ids)
        return self._setting.dataset.train_features[ids], torch.from_numpy(labels)

    def _pool(self, client: int) -> torch.Tensor | None:
        """Return a client's unlabelled samples, if the trainer mixes them."""
        if self._trainer.mixes_unlabelled is None:
            return None
        return self._setting.dataset.train_features[self._ledger.unlabelled(client)]


def recipe_of(task: Task, number: int, trainer: Trainer, proximal: float) -> LocalTraining:
    """Return how clients train in a round.

    Args:
        task: the task.
        number: the round, from 0.
        trainer: what they minimise; not guarded.
        proximal: FedProx's mu.
    """
    optimiser = task.optimiser
    return LocalTraining(
        epochs=task.local_epochs,
        batch_size=task.batch_size,
        lr=optimiser.lr_at(number, task.rounds),
        momentum=optimiser.momentum,
        weight_decay=optimiser.weight_decay,
        stop_at_accuracy=None,
        trainer=trainer,
        augmentation=task.augmentation,
        adam=optimiser.adam,
        proximal=proximal,
    )


def update_of(client: int, samples: int, weights: Weights, recipe: LocalTraining) -> Update:
    """Return what the server is sent after a local training.

    Args:
        client: the client's number.
        samples: labels that it trained with.
        weights: what came out.
        recipe: how it trained.
    """
    steps = steps_of(samples, recipe)
    gradients = gradients_of(steps, recipe.lr, recipe.momentum, recipe.proximal)
    return Update(client, samples, weights, steps, gradients, recipe.lr)
