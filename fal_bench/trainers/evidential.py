"""Evidential learning as FEAL uses it: outputs are the evidence of a Dirichlet distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from fal_bench.arrays import FloatArray
from fal_bench.inputs.params import Params
from fal_bench.plugins.trainer import LocalBatch, Trainer

if TYPE_CHECKING:
    from torch import Tensor


class EvidentialParams(Params):
    """Parameters of ``evidential``; the defaults are those of the released code.

    Attributes:
        regularisation: weight of the two terms beside the fit.
        annealing_rounds: rounds over which the divergence from the uniform law sets in.
    """

    regularisation: Annotated[float, Field(ge=0)] = 0.01
    annealing_rounds: Annotated[int, Field(ge=1)] = 10


class Evidential(Trainer):
    """Evidential deep learning with FEAL's weights.

    Chen et al., "Think Twice Before Selection: Federated Evidential Active Learning for Medical
    Image Analysis with Domain Shifts", CVPR 2024, after Sensoy et al., NeurIPS 2018. With
    alpha = relu(logit) + 1 and S its sum, the loss of a sample of class y is::

        (2 - prior_y) (digamma(S) - digamma(alpha_y))
        + r * (min(1, round / 10) KL(Dir(alpha~) || Dir(1)) - (C / S) logit_y)

    where prior is the class frequencies among the client's labels and alpha~ is alpha with the
    true class's evidence taken out. The last term lets a sample without any evidence learn, where
    the relu gives no gradient; its factor C / S is a weight and not differentiated, as in the
    released code. Class probabilities are alpha / S.

    Fails with many classes and few rounds: the evidence grows slowly.
    """

    name: ClassVar[str] = "evidential"
    version: ClassVar[int | None] = 2
    Params: ClassVar[type[Params]] = EvidentialParams

    def losses(self, logits: Tensor, batch: LocalBatch) -> Tensor:
        """Return the loss of every sample, shape (..., rows)."""
        truth = batch.labels.unsqueeze(-1)
        counts = batch.class_counts.to(logits.dtype)
        prior = counts / counts.sum(-1, keepdim=True)
        alpha = logits.relu() + 1
        strength = alpha.sum(-1)
        fit = strength.digamma() - alpha.gather(-1, truth).squeeze(-1).digamma()
        fit = (2 - prior.gather(-1, batch.labels)) * fit
        n_classes = logits.shape[-1]
        # C / S is a weight: differentiated too, it would raise the evidence of other classes.
        weight = n_classes / strength.detach()
        correction = weight * logits.gather(-1, truth).squeeze(-1)
        annealed = (batch.round / self.params.annealing_rounds).clamp(max=1).to(logits.dtype)
        divergence = _divergence_from_uniform(alpha.scatter(-1, truth, 1.0))
        more = annealed.unsqueeze(-1) * divergence - correction
        total: Tensor = fit + self.params.regularisation * more
        return total

    def probs(self, logits: FloatArray) -> FloatArray:
        """Return the mean of the Dirichlet distribution, alpha / S, shape (n, n_classes)."""
        alpha = np.maximum(logits, 0) + 1
        probs: FloatArray = alpha / alpha.sum(axis=1, keepdims=True)
        return probs


def _divergence_from_uniform(alpha: Tensor) -> Tensor:
    """Return KL(Dir(alpha) || Dir(1)), shape (...), from alpha (..., n_classes)."""
    strength = alpha.sum(-1)
    norm = strength.lgamma() - alpha.lgamma().sum(-1) - math.lgamma(alpha.shape[-1])
    spread = alpha.digamma() - strength.digamma().unsqueeze(-1)
    return norm + ((alpha - 1) * spread).sum(-1)
