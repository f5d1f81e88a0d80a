"""The aggregation contract: what clients add to their steps, and what the server makes of a round.

Federated averaging is the default. An aggregation is a plugin that a task names, so that all
strategies of a comparison share it. The smallest one is a class with a ``name`` and a
``combine``::

    class HalfStep(Aggregation):
        name = "half-step"

        def combine(self, updates, server):
            change = server.change(updates)
            return {name: server.weights[name] + change[name] / 2 for name in change}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import ValidationError

from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.params import Params, explain

if TYPE_CHECKING:
    from torch import Tensor

    from fal_bench.task import Task

    Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Update:
    """What a client sends at the end of a round.

    Attributes:
        client: its number.
        samples: its labelled samples, at least 1.
        weights: its trained weights, by name.
        steps: steps that it took.
        gradients: how many gradients its change adds up to: the number of steps for plain SGD,
            more with momentum, fewer where FedProx pulls back. The change is about
            ``-lr * gradients`` times the mean gradient.
        lr: its learning rate in this round.
    """

    client: int
    samples: int
    weights: Weights
    steps: int
    gradients: float
    lr: float


@dataclass
class Server:
    """What the server holds between rounds.

    Attributes:
        weights: the global model, by name; never changed in place.
        parameters: the names among them that clients train. The others are buffers, such as the
            statistics of a batch normalisation.
        clients: number of clients of the federation.
        memory: what the aggregation remembers at the server: tensors by name, under any key. It
            is empty whenever the model starts afresh.
        own: what it remembers at each client, likewise.
    """

    weights: Weights
    parameters: tuple[str, ...]
    clients: int
    memory: dict[str, Weights] = field(default_factory=dict)
    own: tuple[dict[str, Weights], ...] = ()

    def average(self, updates: Sequence[Update]) -> Weights:
        """Return the clients' weights, averaged by their labelled samples, buffers included."""
        return average([one.weights for one in updates], np.array([one.samples for one in updates]))

    def change(self, updates: Sequence[Update]) -> Weights:
        """Return how far the average of the clients' parameters is from the global ones."""
        averaged = self.average(updates)
        return {name: averaged[name] - self.weights[name] for name in self.parameters}

    def zeros(self) -> Weights:
        """Return zeros of the shapes of all parameters."""
        return {
            name: self.weights[name].new_zeros(self.weights[name].shape) for name in self.parameters
        }


class Aggregation:
    """Base class of all aggregations.

    An object lives for one cycle; what is to be remembered from round to round goes into
    ``server.memory`` and ``server.own``. What a method is given must not be changed in place, but
    for these memories.

    Attributes:
        name: the name used in tasks and results.
        version: raised whenever the numbers change; ``None`` (external plugins) means that the
            hash of the source takes its place.
        messages: how many times the model's size a client receives and sends in a round.
        Params: the class of the parameters.

    Args:
        params: values by name, as given in the task.

    Raises:
        InvalidSpecError: a parameter is unknown or has a value it cannot take.
    """

    name: ClassVar[str]
    version: ClassVar[int | None] = None
    messages: ClassVar[int] = 1
    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        try:
            self.params: Any = self.Params.model_validate(params or {})
        except ValidationError as error:
            raise InvalidSpecError(explain("Aggregation", self.name, self.Params, error)) from None

    def check_task(self, task: Task) -> None:
        """Check, before anything runs, that it can serve a task.

        Raises:
            InvalidSpecError: it cannot; the sentence says what to change.
        """

    @property
    def proximal(self) -> float:
        """FedProx's mu: each gradient gets mu times the way from the global model."""
        return 0.0

    def correction(self, client: int, server: Server) -> Weights | None:  # noqa: ARG002
        """Return what a client adds to the gradient of every step of the next round.

        Args:
            client: its number.
            server: the server before the round.

        Returns:
            Tensors by the name of a parameter, nothing for those left out; None to add nothing.
        """
        return None

    def combine(self, updates: Sequence[Update], server: Server) -> Weights:
        """Return the global model after a round; by default, the average.

        Args:
            updates: of the clients whose training arrived, at least one, in order of their number.
            server: the server before the round; its memories may be changed.

        Returns:
            Tensors by name; those left out are averaged.
        """
        return server.average(updates)


def average(weights: Sequence[Weights], counts: IntArray) -> Weights:
    """Average clients' weights (FedAvg: McMahan et al., AISTATS 2017).

    Floating-point buffers (BatchNorm statistics) are averaged like parameters; integer buffers
    (batch counters) are taken from the first client.

    Args:
        weights: one entry a client.
        counts: what each client counts: its labelled samples, shape (clients,); at least one is
            positive.
    """
    import torch

    device = next(iter(weights[0].values())).device
    shares = torch.as_tensor(counts / counts.sum(), dtype=torch.float32, device=device)
    averaged: Weights = {}
    for name, first in weights[0].items():
        if first.is_floating_point():
            averaged[name] = torch.tensordot(shares, _stacked([one[name] for one in weights]), 1)
        else:
            averaged[name] = first
    return averaged


ALIGNED = 64
"""Bytes of which a new tensor's address is a multiple; another address may round otherwise."""


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors stacked; without a copy if they are the rows of one tensor, in order."""
    import torch

    first, step = tensors[0], tensors[0].numel() * tensors[0].element_size()
    start = first.data_ptr()
    whole = first.untyped_storage().data_ptr() == tensors[-1].untyped_storage().data_ptr()
    places = range(start, start + len(tensors) * step, step) if step else ()
    rows = (
        whole
        and list(map(torch.Tensor.data_ptr, tensors)) == list(places)
        and all(map(torch.Tensor.is_contiguous, tensors))
    )
    if not rows or start % ALIGNED:
        return torch.stack(list(tensors))
    strides = (first.numel(), *first.stride())
    return first.as_strided((len(tensors), *first.shape), strides)


def check_plain_sgd(aggregation: Aggregation, task: Task) -> None:
    """Check that a task's steps are those of SGD that starts every round at rest.

    Raises:
        InvalidSpecError: they are not, so that a client's change says nothing about its gradients.
    """
    optimiser = task.optimiser
    if optimiser.adam is not None or optimiser.state != "reset":
        found = f"{optimiser.kind} with state {optimiser.state!r}"
        raise InvalidSpecError(
            f"Task {task.name!r}: aggregation {aggregation.name!r} reads gradients from what "
            f'clients send, which takes optimiser kind "sgd" with state "reset", not {found}; '
            "change the optimiser, or take another aggregation."
        )
