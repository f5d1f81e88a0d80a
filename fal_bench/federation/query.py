"""The query of one cycle: budgets, views, selection, and buying what was selected."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fal_bench.errors import PluginError
from fal_bench.federation.declared import declared
from fal_bench.federation.guarded import is_built_in, unguarded
from fal_bench.federation.journal import Journal
from fal_bench.federation.ledger import POOL, Ledger
from fal_bench.federation.memory import join, split
from fal_bench.federation.models import CycleModels
from fal_bench.federation.selection import Selecting, check_selections
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.federation.view import LiveClientView, LiveFederationView, LiveTargetView
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Model
from fal_bench.learning.request import Lane, Trained, TrainRequest
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import DistilledModel, LocalModel, LocalTraining, TargetDomain
from fal_bench.plugins.strategy import Strategy, Train
from fal_bench.plugins.trainer import Trainer
from fal_bench.streams import Streams


class ClientQuery:
    """What clients compute in one cycle's query: their views, and the trainings that they ask for.

    Args:
        setting: the run's setting.
        ledger: the run's ledger.
        state: the state at the start of the cycle.
        models: what the cycle's training left.
        strategy: who selects.
        trainer: what clients minimise, also in trainings outside the federated rounds; a plugin's
            is guarded.
        clients: the clients that are here: all in a simulation, one at a site; all if None.

    Attributes:
        seconds: time spent in trainings that the strategy declares.
    """

    def __init__(
        self,
        setting: Setting,
        ledger: Ledger,
        state: RunState,
        models: CycleModels,
        strategy: Strategy,
        trainer: Trainer,
        clients: Sequence[int] | None = None,
    ) -> None:
        self._setting = setting
        self._ledger = ledger
        self._state = state
        # Runs share the trainings of their first cycle.
        self._models = models if is_built_in(strategy) else models.copied()
        self._model = models.global_model
        self._strategy = strategy
        self._trainer = trainer
        self._clients = range(setting.task.clients) if clients is None else clients
        self.seconds = 0.0

    def views(
        self, limits: Sequence[int]
    ) -> Generator[TrainRequest, Trained, list[LiveClientView]]:
        """Train what the strategy declares, and return the view of each client that is here.

        Args:
            limits: labels that each of them may buy at most.
        """
        local = yield from self._train_declared(LocalModel, "local")
        distilled = yield from self._train_declared(DistilledModel, "distilled")
        return [
            self._view(client, limit, own_local, own_distilled)
            for client, limit, own_local, own_distilled in zip(
                self._clients, limits, local, distilled, strict=True
            )
        ]

    def _view(
        self, client: int, limit: int, local: Model | None, distilled: Model | None
    ) -> LiveClientView:
        return LiveClientView(
            index=client,
            cycle=self._state.cycle,
            shares=self._setting.shares[client],
            ledger=self._ledger,
            features=self._setting.dataset.train_features,
            models=self._models.of_client(client, local, distilled),
            trainer=self._trainer,
            rng=strategy_rng(self._strategy, self._setting.streams, self._state.cycle, client),
            memory=self._state.memories[client],
            limit=limit,
            reference=self._strategy.reference,
        )

    def _train_declared(
        self, kind: type[LocalModel | DistilledModel], component: str
    ) -> Generator[TrainRequest, Trained, list[Model | None]]:
        """Train a model of every client at once, if the strategy declares that kind."""
        need = declared(self._strategy, kind)
        if need is None:
            return [None for _ in self._clients]
        training = self._resolved(need.training)
        taught = isinstance(training.trainer, Distillation)
        if taught != (kind is DistilledModel):
            raise PluginError(
                f"Strategy {self._strategy.name!r}: the trainer of a DistilledModel must be a "
                "Distillation, and that of any other model must not."
            )
        lanes = tuple(self._lane(client, component, None, 0, taught) for client in self._clients)
        architecture = self._model.architecture
        answer = yield TrainRequest(architecture, training, lanes, cycle=self._state.cycle)
        self.seconds += answer.seconds
        return [Model(architecture, weights) for weights in answer.weights]

    def _resolved(self, training: LocalTraining) -> LocalTraining:
        """Return a recipe with what it leaves to the run: trainer, augmentation, learning rate."""
        if training.trainer is None:
            training = replace(training, trainer=unguarded(self._trainer))
        if training.augmentation is None:
            training = replace(training, augmentation=self._setting.task.augmentation)
        task, optimiser = self._setting.task, self._setting.task.optimiser
        if training.lr_share is not None:
            # A share of Adam's rate says nothing about SGD's.
            lr = training.lr_share * optimiser.lr
            training = replace(training, lr=lr, lr_share=None, adam=optimiser.adam)
        own = {
            "lr": optimiser.lr,
            "batch_size": task.batch_size,
            "momentum": optimiser.momentum,
            "weight_decay": optimiser.weight_decay,
            "adam": optimiser.adam,
        }
        inherited: dict[str, Any] = {name: own[name] for name in training.inherited}
        return replace(training, **inherited, inherited=frozenset())

    def request(self, client: int, order: Train, number: int) -> TrainRequest:
        """Return the request for a training that a client's selection asks for.

        Args:
            client: the client.
            order: what it yielded.
            number: of this training in its selection, from 0.

        Raises:
            PluginError: it yielded something else.
        """
        if not isinstance(order, Train):
            raise PluginError(
                f"Strategy {self._strategy.name!r} yielded a {type(order).__name__}; "
                "yield Train(...) or return positions."
            )
        lane = self._lane(client, f"train:{self._strategy.name}", order.start, number)
        recipe = self._resolved(order.training)
        return TrainRequest(self._model.architecture, recipe, (lane,), cycle=self._state.cycle)

    def _lane(
        self, client: int, component: str, start: Model | None, number: int, taught: bool = False
    ) -> Lane:
        """Return a training on all of a client's labelled samples, taught by the global model."""
        keys = (self._state.cycle, client, number)
        streams = self._setting.streams
        if start is None:
            start = self._model.architecture.fresh(streams.torch(f"{component}-init", *keys))
        ids = self._ledger.labelled(client)
        features = self._setting.dataset.train_features[ids]
        teacher = None
        if taught:
            # A copy, because torch refuses to wrap read-only arrays.
            teacher = torch.from_numpy(predict(self._model, features).logits.copy())
        return Lane(
            start=start.weights,
            features=features,
            labels=torch.from_numpy(self._ledger.labels(client, ids)),
            rng=streams.numpy(f"{component}-batches", *keys),
            round=self._setting.task.rounds - 1,  # the query follows the last round
            teacher_logits=teacher,
        )


class Query(ClientQuery):
    """One cycle's query over all clients, in one process."""

    def run(self, journal: Journal) -> Generator[TrainRequest, Trained, RunState]:
        """Select, buy, and return the state of the next cycle.

        Raises:
            PluginError: the strategy broke its contract.
        """
        state, ledger = self._state, self._ledger
        left = [ledger.left(client) for client in self._clients]
        offer = self._setting.grants.offer(state.cycle, ledger.paper(), left)
        views = yield from self.views(offer.limits.tolist())
        federation = LiveFederationView(
            views,
            offer.usual.tolist(),
            strategy_rng(self._strategy, self._setting.streams, state.cycle),
            state.memories[-1],
            beat=partial(journal.beat, state.cycle),
            limits=offer.limits.tolist(),
            target=self._target(),
        )
        selecting = Selecting(self._strategy, federation, journal)
        positions = yield from selecting.run(self.request)
        asked = [ledger.asked(client, state.cycle) for client in self._clients]
        checked = check_selections(self._strategy, views, offer, asked, positions)
        for view, chosen in zip(views, checked, strict=True):
            ledger.buy(view.index, view.unlabelled[chosen], POOL, state.cycle)
        return RunState(
            cycle=state.cycle + 1,
            charges=ledger.charges(),
            memories=as_stored([*(view.memory for view in views), federation.memory]),
            select_seconds=self.seconds + selecting.seconds,
            bytes_up=federation.bytes_up,
            bytes_down=federation.bytes_down,
            weights=self._model.weights if self._setting.task.reset == "continue" else None,
            unrecorded=state.unrecorded,
        )

    def _target(self) -> LiveTargetView | None:
        """Return the target domain, if the strategy declares it and the task has one."""
        features = self._setting.dataset.target_features
        if features is None or declared(self._strategy, TargetDomain) is None:
            return None
        return LiveTargetView(features, self._model, self._trainer)


def strategy_rng(
    strategy: Strategy, streams: Streams, cycle: int, client: int | None = None
) -> np.random.Generator:
    """Return a strategy's own stream, which no other strategy shares.

    Args:
        strategy: the strategy.
        streams: of the task and its seed.
        cycle: the cycle.
        client: whose stream; the server's if None.
    """
    if client is None:
        return streams.numpy(f"server:{strategy.name}", cycle)
    return streams.numpy(f"strategy:{strategy.name}", cycle, client)


def as_stored(memories: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return memories as a resumed run would read them, so that both see the same types."""
    arrays: dict[str, NDArray[Any]] = {}
    stored: list[dict[str, Any]] = join(split(memories, arrays), arrays)
    return stored
