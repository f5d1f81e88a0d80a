"""The query of one cycle: budgets, views, selection, and buying what was selected."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fal_bench.errors import PluginError
from fal_bench.federation.declared import declared_needs
from fal_bench.federation.guarded import is_built_in, unguarded
from fal_bench.federation.journal import Journal
from fal_bench.federation.ledger import POOL, Ledger
from fal_bench.federation.memory import join, split
from fal_bench.federation.models import CycleModels
from fal_bench.federation.selection import Selecting, check_positions
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.federation.view import LiveClientView, LiveFederationView
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Model
from fal_bench.learning.request import Lane, Trained, TrainRequest
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import DistilledModel, LocalModel, LocalTraining
from fal_bench.plugins.strategy import Strategy, Train
from fal_bench.plugins.trainer import Trainer


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
        remaining = self._allowed()
        views = [self._view(client, local[client], distilled[client]) for client in self._clients]
        budgets = [min(remaining[view.index], len(view.unlabelled)) for view in views]
        federation = LiveFederationView(
            views,
            budgets,
            self._rng("server"),
            self._state.memories[-1],
            beat=partial(journal.beat, self._state.cycle),
        )
        selecting = Selecting(self._strategy, federation, journal)
        positions = yield from selecting.run(self._request)
        for view, chosen, budget in zip(views, positions, budgets, strict=True):
            remaining[view.index] -= self._buy(view, chosen, budget)
        return RunState(
            cycle=self._state.cycle + 1,
            charges=self._ledger.charges(),
            remaining=remaining,
            memories=_as_stored([*(view.memory for view in views), federation.memory]),
            select_seconds=seconds + selecting.seconds,
            bytes_up=federation.bytes_up,
            bytes_down=federation.bytes_down,
            weights=self._model.weights if self._setting.task.reset == "continue" else None,
        )

    def _allowed(self) -> list[int]:
        """Return what each client may spend: what it left, and an allowance up to the cap."""
        task = self._setting.task
        allowance = task.query_size if self._state.cycle < task.fixed_cycles - 1 else 0
        return [left + allowance for left in self._state.remaining]

    def _buy(self, view: LiveClientView, chosen: Any, budget: int) -> int:
        """Check a client's selection, buy its labels and return how many."""
        checked = check_positions(
            self._strategy, view.index, self._state.cycle, chosen, budget, len(view.unlabelled)
        )
        self._ledger.buy(view.index, view.unlabelled[checked], POOL, self._state.cycle)
        return len(checked)

    def _view(self, client: int, local: Model | None, distilled: Model | None) -> LiveClientView:
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
        declared = [need for need in declared_needs(self._strategy) if isinstance(need, kind)]
        if not declared:
            return [None for _ in self._clients], 0.0
        if len(declared) > 1:
            raise PluginError(
                f"Strategy {self._strategy.name!r} declares {len(declared)} {kind.__name__}s; "
                "declare one."
            )
        training = self._resolved(declared[0].training)
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
        if training.lr_share is not None:
            # A share of Adam's rate says nothing about SGD's.
            optimiser = self._setting.task.optimiser
            lr = training.lr_share * optimiser.lr
            training = replace(training, lr=lr, lr_share=None, adam=optimiser.adam)
        return training

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
