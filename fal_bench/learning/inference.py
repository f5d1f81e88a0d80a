"""Predictions of a model on many samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fal_bench.learning.model import Model

FloatArray = NDArray[np.float32]

BATCH_SIZE = 64
"""Larger batches fall out of the CPU's cache and are slower."""


@dataclass(frozen=True)
class Outputs:
    """What a model says about n samples; the arrays are read-only.

    Attributes:
        logits: shape (n, n_classes).
        embeddings: inputs of the head, shape (n, d).
    """

    logits: FloatArray
    embeddings: FloatArray

    @property
    def probs(self) -> FloatArray:
        """Softmax of the logits, shape (n, n_classes)."""
        shifted = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return frozen(shifted / shifted.sum(axis=1, keepdims=True))


@torch.inference_mode()
def predict(model: Model, features: Tensor) -> Outputs:
    """Return logits and embeddings of ``features``, shape (n, C, H, W)."""
    network = model.architecture.network.eval()
    network.load_state_dict(model.weights)
    embeddings = torch.cat(
        [network.embed(batch) for batch in torch.split(features, BATCH_SIZE)]
        or [torch.empty(0, network.head.in_features)]
    )
    logits = torch.cat(
        [network.head(batch) for batch in torch.split(embeddings, BATCH_SIZE)]
        or [torch.empty(0, model.architecture.n_classes)]
    )
    return Outputs(frozen(logits.numpy()), frozen(embeddings.numpy()))


def frozen(array: FloatArray) -> FloatArray:
    """Make an array read-only, so that nobody changes what others will read."""
    array.setflags(write=False)
    return array
