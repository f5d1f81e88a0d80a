"""SCAFFOLD: control variates against the drift of clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fal_bench.inputs.limits import MOST_RATE
from fal_bench.inputs.params import Params
from fal_bench.plugins.aggregation import Aggregation, Server, Update, check_plain_sgd

if TYPE_CHECKING:
    from fal_bench.plugins.aggregation import Weights
    from fal_bench.task import Task

CONTROL = "control"


class ScaffoldParams(Params):
    """Parameters of ``scaffold``.

    Attributes:
        lr: learning rate of the server.
    """

    lr: Annotated[float, Field(gt=0, le=MOST_RATE)] = 1.0


class Scaffold(Aggregation):
    """SCAFFOLD: each client's gradients are corrected by how they differ from all clients' mean.

    Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML
    2020, with option II for the control variates; clients count equally, as in the paper. With
    momentum, which the paper does not have, a client's change is divided by the gradients that it
    adds up to instead of its steps. A round sends twice what FedAvg sends.
    """

    name = "scaffold"
    version: ClassVar[int | None] = 1
    messages: ClassVar[int] = 2
    Params: ClassVar[type[Params]] = ScaffoldParams

    def check_task(self, task: Task) -> None:
        """Check that the steps are those of SGD."""
        check_plain_sgd(self, task)

    def correction(self, client: int, server: Server) -> Weights | None:
        """Return the server's control variate less the client's."""
        mean, own = server.memory.get(CONTROL), server.own[client].get(CONTROL)
        if mean is None:
            return server.zeros()
        return mean if own is None else {name: mean[name] - own[name] for name in mean}

    def combine(self, updates: Sequence[Update], server: Server) -> Weights:
        """Return the global model moved by the clients' mean change."""
        mean = server.memory.get(CONTROL, server.zeros())
        moved, renewed = server.zeros(), dict(mean)
        for update in updates:
            own = server.own[update.client].get(CONTROL, server.zeros())
            control = {}
            for name in server.parameters:
                change = update.weights[name] - server.weights[name]
                moved[name] = moved[name] + change / len(updates)
                gradient = change / (-update.lr * update.gradients)
                control[name] = own[name] - mean[name] + gradient
                renewed[name] = renewed[name] + (control[name] - own[name]) / server.clients
            server.own[update.client][CONTROL] = control
        server.memory[CONTROL] = renewed
        lr = self.params.lr
        return {name: server.weights[name] + lr * moved[name] for name in server.parameters}
