"""FedYogi: Yogi at the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fal_bench.aggregations._adaptive import Adaptive

if TYPE_CHECKING:
    from torch import Tensor


class FedYogi(Adaptive):
    """FedYogi: FedAdam whose squares grow and shrink no faster than the changes themselves.

    Reddi et al., "Adaptive Federated Optimization", ICLR 2021.
    """

    name = "fedyogi"
    version: ClassVar[int | None] = 1

    def squares(self, kept: Tensor, square: Tensor) -> Tensor:
        """Return Yogi's mean of squares."""
        beta2: float = self.params.beta2
        return kept - (1 - beta2) * square * (kept - square).sign()
