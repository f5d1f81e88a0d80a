"""KCFU: KAFAL's training, which learns what other clients know about missing classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from fal_bench.inputs.params import Params
from fal_bench.plugins.trainer import LocalBatch, MixedBatch, Trainer
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY

if TYPE_CHECKING:
    from torch import Tensor

ABSENT = -1e4
"""Added to the logit of a class that a client has no label of: its probability becomes exactly 0,
while losses and gradients stay finite."""


class KcfuParams(Params):
    """Parameters of ``kcfu``.

    Attributes:
        concentration: a of the Beta(a, a) law of the mixing weights.
        divergence: ``"mean"`` averages the terms of the divergence over the classes, as the
            released code does; ``"sum"`` is the Kullback-Leibler divergence itself.
    """

    concentration: Annotated[float, Field(gt=0)] = 2.0
    divergence: Literal["mean", "sum"] = "mean"


class Kcfu(Trainer):
    """Knowledge-compensatory federated update (KCFU).

    Cao et al., "Knowledge-Aware Federated Active Learning with Non-IID Data", ICCV 2023.
    Cross-entropy on logits to which the logarithm of the client's class counts is added (balanced
    softmax), and from the second round on a compensation: on mixtures of unlabelled samples the
    client follows the global model, most where that predicts classes that are rare at the client
    (weight proportional to 1 / count for the classes it has, 0 for those it has not).

    The predicted classes that weigh a mixture are those of the global model on the mixture itself
    and on the one that shares its second sample, as in the released code.

    Differences to the released code: it mixes all samples of a batch with one and the same partner,
    which is taken for an oversight (here every mixture has a partner of its own); it draws batches
    of unlabelled samples without replacement and augments them (here with replacement and as they
    are); and its global model teaches with the batch's own statistics in batch normalisation (here
    with its running ones). The paper's full text was not at hand, so the averaged divergence of
    the released code is the default.

    A class without a label at the client gets probability 0 in the first term, where the
    logarithm of its count would be minus infinity.

    Cost: a step also passes forward and backward over as many mixtures as labelled samples, and
    forward once more through the global model.
    """

    name: ClassVar[str] = "kcfu"
    version: ClassVar[int | None] = 1
    Params: ClassVar[type[Params]] = KcfuParams

    @property
    def mixes_unlabelled(self) -> float | None:
        """Mixing weights follow Beta(a, a)."""
        concentration: float = self.params.concentration
        return concentration

    def losses(self, logits: Tensor, batch: LocalBatch) -> Tensor:
        """Return the balanced-softmax cross-entropy, shape (..., rows)."""
        counts = batch.class_counts.to(logits.dtype)
        prior = counts.clamp(min=1).log() + ABSENT * (counts == 0)
        return CROSS_ENTROPY.losses(logits + prior.unsqueeze(-2), batch)

    def mixed_losses(self, logits: Tensor, batch: MixedBatch) -> Tensor:
        """Return weight * KL(global || client) of every mixture, shape (..., rows)."""
        counts = batch.class_counts.to(logits.dtype)
        rarity = (counts > 0) / counts.clamp(min=1)
        rarity = rarity / rarity.sum(-1, keepdim=True)
        predicted = batch.start_logits.argmax(-1)
        rare = rarity.gather(-1, predicted)
        weight = batch.weight * rare + (1 - batch.weight) * rare.gather(-1, batch.partner)
        start = batch.start_logits.log_softmax(-1)
        terms = start.exp() * (start - logits.log_softmax(-1))
        divergence = terms.mean(-1) if self.params.divergence == "mean" else terms.sum(-1)
        started = (batch.round > 0).to(logits.dtype).unsqueeze(-1)
        return started * weight * divergence
