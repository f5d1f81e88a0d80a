"""FedProx: clients are held near the global model."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fal_bench.inputs.limits import MOST_RATE
from fal_bench.inputs.params import Params
from fal_bench.plugins.aggregation import Aggregation


class FedProxParams(Params):
    """Parameters of ``fedprox``.

    Attributes:
        mu: how strongly clients are held; 0 is FedAvg.
    """

    mu: Annotated[float, Field(ge=0, le=MOST_RATE)] = 0.01


class FedProx(Aggregation):
    """FedProx: every client also minimises mu / 2 times its squared distance from the global model.

    Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020. The server averages
    as FedAvg does.
    """

    name = "fedprox"
    version: ClassVar[int | None] = 1
    Params: ClassVar[type[Params]] = FedProxParams

    @property
    def proximal(self) -> float:
        """Mu."""
        mu: float = self.params.mu
        return mu
