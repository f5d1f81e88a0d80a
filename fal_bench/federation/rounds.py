"""The server's side of a cycle: what clients add to their steps, and what becomes of updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import TypeVar

import torch

from fal_bench.errors import FalbenchError, PluginError, message_of
from fal_bench.federation.guarded import Guard, is_built_in
from fal_bench.federation.models import copied
from fal_bench.federation.state import RunState
from fal_bench.inputs.selector import Selector
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.learning.model import Architecture, Model, Weights
from fal_bench.plugins.aggregation import Aggregation, Server, Update
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.registry import current_registry
from fal_bench.streams import Streams
from fal_bench.task import Task

Result = TypeVar("Result")

Memories = tuple[dict[str, Weights], ...]
"""What an aggregation remembers at each client and, last, at the server."""


class Coordinator:
    """The server of one cycle. A plugin's code is guarded, and works on copies.

    Args:
        aggregation: what it does.
        model: the global model at the start.
        clients: number of clients.
        guard: what each call of a plugin's code runs in.
        memories: what the aggregation remembers from earlier cycles; empty if the model is fresh.

    Attributes:
        model: the global model.
    """

    def __init__(
        self,
        aggregation: Aggregation,
        model: Model,
        clients: int,
        guard: Guard,
        memories: Memories = (),
    ) -> None:
        self.model = model
        self._aggregation = aggregation
        self._guard = guard
        self._trusted = is_built_in(aggregation)
        trained = model.architecture.network.named_parameters()
        names = tuple(name for name, one in trained if one.requires_grad)
        known = [dict(one) for one in memories] or [{} for _ in range(clients + 1)]
        *own, memory = known
        self._server = Server(self._lent(model.weights), names, clients, memory, tuple(own))

    @property
    def proximal(self) -> float:
        """FedProx's mu.

        Raises:
            PluginError: it is none.
        """
        mu = self._call(lambda: self._aggregation.proximal)
        if self._trusted:
            return mu
        if not isinstance(mu, int | float) or not 0 <= mu < float("inf"):
            raise PluginError(f"{self._who}: proximal must be a number of at least 0, not {mu!r}.")
        return float(mu)

    @property
    def messages(self) -> int:
        """How many times the model's size a client receives and sends in a round."""
        return self._aggregation.messages

    @property
    def memories(self) -> Memories:
        """What the aggregation remembers, to go on with in the next cycle."""
        return (*self._server.own, self._server.memory)

    def correction(self, client: int) -> Weights | None:
        """Return what a client adds to each gradient, for all parameters; None for nothing.

        Raises:
            PluginError: it fits no parameter.
        """
        given = self._call(lambda: self._aggregation.correction(client, self._server))
        if given is None:
            return None
        known = self._checked("correction", given, self._server.parameters)
        return known if len(known) == len(self._server.parameters) else self._server.zeros() | known

    def combine(self, updates: Sequence[Update]) -> None:
        """Make the next global model of the updates of a round.

        Raises:
            PluginError: what the aggregation returns, or remembers, are no weights.
        """
        lent = [
            Update(
                one.client, one.samples, self._lent(one.weights), one.steps, one.gradients, one.lr
            )
            for one in updates
        ]
        given = self._call(lambda: self._aggregation.combine(lent, self._server))
        weights = self._checked("combine", given, tuple(self.model.weights))
        if len(weights) < len(self.model.weights):
            weights = self._server.average(updates) | weights
        for memory in self.memories if not self._trusted else ():
            self._check_memory(memory)
        self.model = Model(self.model.architecture, weights)
        self._server.weights = self._lent(weights)

    def _lent(self, weights: Weights) -> Weights:
        """Return weights that the aggregation's code may hold."""
        return weights if self._trusted else copied(weights)

    def _checked(self, method: str, given: object, names: Sequence[str]) -> Weights:
        """Return what a method returned as weights."""
        if self._trusted:
            assert isinstance(given, dict)
            return given
        if not isinstance(given, Mapping):
            raise PluginError(
                f"{self._who}: {method} must return tensors by name, not a {type(given).__name__}."
            )
        checked: Weights = {}
        for name, tensor in given.items():
            if name not in names:
                raise PluginError(
                    f"{self._who}: {method} returned {name!r}, which is none of {', '.join(names)}."
                )
            like = self.model.weights[name]
            if not isinstance(tensor, torch.Tensor) or tensor.shape != like.shape:
                raise PluginError(
                    f"{self._who}: {method} must return a tensor of shape {tuple(like.shape)} for "
                    f"{name!r}, not {_shown(tensor)}."
                )
            checked[name] = tensor.detach().to(like.device, like.dtype, copy=True)
        return checked

    def _check_memory(self, memory: object) -> None:
        groups = memory.values() if isinstance(memory, dict) else [None]
        for group in groups:
            tensors = group.values() if isinstance(group, dict) else [None]
            if not all(isinstance(one, torch.Tensor) for one in tensors):
                raise PluginError(
                    f"{self._who}: a memory must hold tensors by name under each of its keys, as "
                    'in server.memory["velocity"] = {"head.weight": tensor}.'
                )

    @property
    def _who(self) -> str:
        return f"Aggregation {self._aggregation.name!r}"

    def _call(self, function: Callable[[], Result]) -> Result:
        """Run the aggregation's code.

        Raises:
            PluginError: it raised.
        """
        if self._trusted:
            return function()
        try:
            with self._guard():
                return function()
        except FalbenchError:
            raise
        except BaseException as error:
            let_interrupts_pass(error)
            said = message_of(error, type(self._aggregation))
            raise PluginError(f"{self._who} failed: {said}") from error


def coordinator_of(
    task: Task, architecture: Architecture, streams: Streams, state: RunState, guard: Guard
) -> Coordinator:
    """Return the server of a cycle, with the model that it starts from.

    Args:
        task: the task.
        architecture: the classifier on its data.
        streams: of the task and its seed.
        state: the state at the start of the cycle.
        guard: what each call of a plugin's code runs in.

    Raises:
        InvalidSpecError: the aggregation does not suit the task.
        PluginError: it cannot be made.
    """
    name, table = task.aggregation.kind, current_registry().aggregations
    with nullcontext() if table.built_in(name) else guard():
        aggregation = table.make(Selector(name, task.aggregation.params))
        aggregation.check_task(task)
    if state.weights is None:
        model = architecture.fresh(streams.torch("init", state.cycle))
    else:
        model = architecture.with_weights(state.weights)
    return Coordinator(aggregation, model, task.clients, guard, state.aggregation)


def steps_of(samples: int, training: LocalTraining) -> int:
    """Return how many steps a client takes in a round."""
    return training.epochs * -(-samples // training.batch_size)


@lru_cache(maxsize=4096)
def gradients_of(steps: int, lr: float, momentum: float, proximal: float) -> float:
    """Return how many gradients a client's change adds up to.

    It is the sum of the coefficients of FedNova's a_i: how far steps with a constant gradient of 1
    lead, over the learning rate.

    Args:
        steps: steps of SGD, from rest.
        lr: their learning rate.
        momentum: their momentum.
        proximal: FedProx's mu.
    """
    way, velocity = 0.0, 0.0
    for _ in range(steps):
        velocity = momentum * velocity + 1 - proximal * lr * way
        way += velocity
    return way


def _shown(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"one of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
