"""The query of one cycle: budgets, views, selection, and buying what was selected."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fal_bench.data.apportionment import turns
from fal_bench.errors import PluginError
from fal_bench.federation.declared import declared
from fal_bench.federation.guarded import is_built_in, unguarded
from fal_bench.federation.journal import Journal
from fal_bench.federation.ledger import POOL, Ledger
from fal_bench.federation.memory import join, split
from fal_bench.federation.models import CycleModels
from fal_bench.federation.selection import Offer, Selecting, check_selections
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
from fal_bench.task import ServerAllotment


class Query:
    """One cycle's query over all clients.

    Args:
        setting: the run's setting.
        ledger: the run's ledger.
        state: the state at the start of the cycle.
        models: what the cycle's training left.
        strategy: who selects.
        trainer: what clients minimise, also in trainings outside the federated rounds; a plugin's
            is guarded.
    """

    def __init__(
        self,
        setting: Setting,
        ledger: Ledger,
        state: RunState,
        models: CycleModels,
        strategy: Strategy,
        trainer: Trainer,
    ) -> None:
        self._setting = setting
        self._ledger = ledger
        self._state = state
        # Runs share the trainings of their first cycle.
        self._models = models if is_built_in(strategy) else models.copied()
        self._model = models.global_model
        self._strategy = strategy
        self._trainer = trainer
        self._clients = range(setting.task.clients)

    def run(self, journal: Journal) -> Generator[TrainRequest, Trained, RunState]:
        """Select, buy, and return the state of the next cycle.

        Raises:
            PluginError: the strategy broke its contract.
        """
        local, local_seconds = yield from self._train_declared(LocalModel, "local")
        distilled, more_seconds = yield from self._train_declared(DistilledModel, "distilled")
        seconds = local_seconds + more_seconds
        offer = self._offer([self._ledger.left(client) for client in self._clients])
        views = [
            self._view(client, int(offer.limits[client]), local[client], distilled[client])
            for client in self._clients
        ]
        federation = LiveFederationView(
            views,
            offer.usual.tolist(),
            self._rng("server"),
            self._state.memories[-1],
            beat=partial(journal.beat, self._state.cycle),
            limits=offer.limits.tolist(),
            target=self._target(),
        )
        selecting = Selecting(self._strategy, federation, journal)
        positions = yield from selecting.run(self._request)
        asked = [self._ledger.asked(client, self._state.cycle) for client in self._clients]
        checked = check_selections(self._strategy, views, offer, asked, positions)
        for view, chosen in zip(views, checked, strict=True):
            self._ledger.buy(view.index, view.unlabelled[chosen], POOL, self._state.cycle)
        return RunState(
            cycle=self._state.cycle + 1,
            charges=self._ledger.charges(),
            memories=_as_stored([*(view.memory for view in views), federation.memory]),
            select_seconds=seconds + selecting.seconds,
            bytes_up=federation.bytes_up,
            bytes_down=federation.bytes_down,
            weights=self._model.weights if self._setting.task.reset == "continue" else None,
            unrecorded=self._state.unrecorded,
        )

    def _offer(self, pools: Sequence[int]) -> Offer:
        """Return what may be bought now: what is granted by now and was not bought.

        Args:
            pools: samples that each client has left to label.
        """
        setting, allotment = self._setting, self._setting.task.allotment
        initial = np.array([len(own) for own in setting.initial])
        left = setting.granted(self._state.cycle) - (self._ledger.paper() - initial)
        if not isinstance(allotment, ServerAllotment):
            return Offer(left, left)
        limits = np.minimum(pools, max(pools) if allotment.at_most is None else allotment.at_most)
        usual = turns(setting.weights, np.zeros_like(limits), limits)[: left.sum()]
        return Offer(np.bincount(usual, minlength=len(limits)), limits)

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
            rng=self._rng("strategy", client),
            memory=self._state.memories[client],
            limit=limit,
            reference=self._strategy.reference,
        )

    def _rng(self, component: str, *keys: int) -> np.random.Generator:
        """Return the strategy's own stream: no other strategy shares it."""
        name = f"{component}:{self._strategy.name}"
        return self._setting.streams.numpy(name, self._state.cycle, *keys)

    def _train_declared(
        self, kind: type[LocalModel | DistilledModel], component: str
    ) -> Generator[TrainRequest, Trained, tuple[list[Model | None], float]]:
        """Train a model of every client at once, if the strategy declares that kind."""
        need = declared(self._strategy, kind)
        if need is None:
            return [None for _ in self._clients], 0.0
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
        return [Model(architecture, weights) for weights in answer.weights], answer.seconds

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

    def _target(self) -> LiveTargetView | None:
        """Return the target domain, if the strategy declares it and the task has one."""
        features = self._setting.dataset.target_features
        if features is None or declared(self._strategy, TargetDomain) is None:
            return None
        return LiveTargetView(features, self._model, self._trainer)

    def _request(self, client: int, order: Train, number: int) -> TrainRequest:
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


def _as_stored(memories: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return memories as a resumed run would read them, so that both see the same types."""
    arrays: dict[str, NDArray[Any]] = {}
    stored: list[dict[str, Any]] = join(split(memories, arrays), arrays)
    return stored
