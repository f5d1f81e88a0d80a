"""Random sampling: the control that every strategy must beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Strategy


class Random(Strategy):
    """Uniform sampling without replacement from each client's pool.

    Cost: none. It works on any data.
    """

    name: ClassVar[str] = "random"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "control"

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Draw ``budget`` positions uniformly."""
        return client.rng.choice(len(client.unlabelled), budget, replace=False).astype(np.int64)
