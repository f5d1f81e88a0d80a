"""Federated averaging."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.plugins.aggregation import Aggregation


class FedAvg(Aggregation):
    """Federated averaging: the clients' weights, averaged by their labelled samples.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    AISTATS 2017.
    """

    name = "fedavg"
    version: ClassVar[int | None] = 1
