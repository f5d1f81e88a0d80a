"""Adaptive server optimisers: the change of a round is their gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fal_bench.inputs.limits import MOST_RATE
from fal_bench.inputs.params import Params
from fal_bench.plugins.aggregation import Aggregation, Server, Update

if TYPE_CHECKING:
    from torch import Tensor

    from fal_bench.plugins.aggregation import Weights

MEAN, SQUARES = "mean", "squares"


class AdaptiveParams(Params):
    """Parameters of ``fedadam`` and ``fedyogi``; decay rates and tau as in the paper.

    Attributes:
        lr: learning rate of the server.
        beta1: how much of the mean of the changes is kept from round to round.
        beta2: how much of the mean of their squares is kept.
        tau: added to the root of that mean: the more, the less adaptive.
    """

    lr: Annotated[float, Field(gt=0, le=MOST_RATE)] = 0.01
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    tau: Annotated[float, Field(gt=0, le=MOST_RATE)] = 1e-3


class Adaptive(Aggregation):
    """What ``fedadam`` and ``fedyogi`` share (Reddi et al., ICLR 2021, Algorithm 2).

    As in the paper, means are not corrected for beginning at zero, and squares begin at tau^2.
    """

    Params: ClassVar[type[Params]] = AdaptiveParams

    def combine(self, updates: Sequence[Update], server: Server) -> Weights:
        """Return the global model moved by the mean change over the root of its squares."""
        params, moved = self.params, {}
        means, squares = server.memory.get(MEAN, {}), server.memory.get(SQUARES, {})
        new_means, new_squares = {}, {}
        for name, change in server.change(updates).items():
            before = means[name] if means else change * 0
            mean = params.beta1 * before + (1 - params.beta1) * change
            kept = squares[name] if squares else change * 0 + params.tau**2
            square = self.squares(kept, change * change)
            new_means[name], new_squares[name] = mean, square
            moved[name] = server.weights[name] + params.lr * mean / (square.sqrt() + params.tau)
        server.memory |= {MEAN: new_means, SQUARES: new_squares}
        return moved

    def squares(self, kept: Tensor, square: Tensor) -> Tensor:
        """Return the mean of the squared changes.

        Args:
            kept: the mean so far.
            square: the squared change of this round.
        """
        raise NotImplementedError
