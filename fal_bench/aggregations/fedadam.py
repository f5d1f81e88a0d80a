"""FedAdam: Adam at the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fal_bench.aggregations._adaptive import Adaptive

if TYPE_CHECKING:
    from torch import Tensor


class FedAdam(Adaptive):
    """FedAdam: the server moves by the average change as Adam moves by a gradient.

    Reddi et al., "Adaptive Federated Optimization", ICLR 2021. The best ``lr`` differs from task to
    task by powers of ten.
    """

    name = "fedadam"
    version: ClassVar[int | None] = 1

    def squares(self, kept: Tensor, square: Tensor) -> Tensor:
        """Return Adam's mean of squares."""
        beta2: float = self.params.beta2
        return beta2 * kept + (1 - beta2) * square
