"""FedAvgM: momentum at the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fal_bench.inputs.limits import MOST_RATE
from fal_bench.inputs.params import Params
from fal_bench.plugins.aggregation import Aggregation, Server, Update

if TYPE_CHECKING:
    from fal_bench.plugins.aggregation import Weights

VELOCITY = "velocity"


class FedAvgMParams(Params):
    """Parameters of ``fedavgm``.

    Attributes:
        lr: learning rate of the server.
        momentum: how much of its velocity it keeps from round to round.
    """

    lr: Annotated[float, Field(gt=0, le=MOST_RATE)] = 1.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9


class FedAvgM(Aggregation):
    """FedAvgM: the server moves by the average change with momentum.

    Hsu et al., "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification", 2019.
    """

    name = "fedavgm"
    version: ClassVar[int | None] = 1
    Params: ClassVar[type[Params]] = FedAvgMParams

    def combine(self, updates: Sequence[Update], server: Server) -> Weights:
        """Return the global model moved by the velocity."""
        velocity = server.memory.get(VELOCITY, server.zeros())
        change = server.change(updates)
        velocity = {name: self.params.momentum * velocity[name] + change[name] for name in change}
        server.memory[VELOCITY] = velocity
        return {name: server.weights[name] + self.params.lr * velocity[name] for name in velocity}
