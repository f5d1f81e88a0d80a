"""FedNova: clients that take more steps do not count more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from fal_bench.plugins.aggregation import Aggregation, Server, Update, check_plain_sgd

if TYPE_CHECKING:
    from fal_bench.plugins.aggregation import Weights
    from fal_bench.task import Task


class FedNova(Aggregation):
    """FedNova: changes are averaged per gradient, so that clients with more steps do not pull more.

    Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated
    Optimization", NeurIPS 2020: with shares p of the labelled samples and a the gradients that a
    client's change adds up to, x += (sum_i p_i a_i) sum_i p_i (y_i - x) / a_i. It is FedAvg where
    all clients take as many steps.
    """

    name = "fednova"
    version: ClassVar[int | None] = 1

    def check_task(self, task: Task) -> None:
        """Check that the steps are those of SGD."""
        check_plain_sgd(self, task)

    def combine(self, updates: Sequence[Update], server: Server) -> Weights:
        """Return the global model moved by the normalised changes."""
        samples = sum(one.samples for one in updates)
        shares = [one.samples / samples for one in updates]
        length = sum(p * one.gradients for p, one in zip(shares, updates, strict=True))
        moved = {}
        for name in server.parameters:
            start = server.weights[name]
            step = sum(
                (one.weights[name] - start) * (p * length / one.gradients)
                for p, one in zip(shares, updates, strict=True)
            )
            moved[name] = start + step
        return moved
