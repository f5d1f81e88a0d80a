"""Knowledge distillation: the loss of a client's distilled model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from fal_bench.inputs.params import Params
from fal_bench.plugins.trainer import LocalBatch, Trainer

if TYPE_CHECKING:
    from torch import Tensor


class DistillationParams(Params):
    """Parameters of the distillation; the defaults are those of IFAL (Zong et al., IJCAI 2025).

    Attributes:
        weight: share of the distillation term; the rest is cross-entropy.
        temperature: both models' logits are divided by it.
    """

    weight: Annotated[float, Field(ge=0, le=1)] = 0.9
    temperature: Annotated[float, Field(gt=0)] = 4.0


class Distillation(Trainer):
    """Cross-entropy and the divergence from a teacher's softened predictions.

    Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015: the divergence
    is multiplied by the squared temperature, which keeps the two terms' gradients in proportion.

    It needs a teacher, so it trains ``DistilledModel`` and is no trainer of a federation.
    """

    name: ClassVar[str] = "distillation"
    version: ClassVar[int | None] = 1
    Params: ClassVar[type[Params]] = DistillationParams

    def losses(self, logits: Tensor, batch: LocalBatch) -> Tensor:
        """Return (1 - weight) * CE + weight * T^2 * KL(teacher || student), shape (..., rows)."""
        if batch.teacher_logits is None:
            raise ValueError("a distillation needs a lane with teacher logits")
        own, temperature = self.params.weight, self.params.temperature
        student = (logits / temperature).log_softmax(-1)
        teacher = (batch.teacher_logits / temperature).log_softmax(-1)
        divergence = (teacher.exp() * (teacher - student)).sum(-1)
        truth = batch.labels.unsqueeze(-1)
        hard = -logits.log_softmax(-1).gather(-1, truth).squeeze(-1)
        total: Tensor = (1 - own) * hard + own * temperature**2 * divergence
        return total
