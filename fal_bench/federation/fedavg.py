"""Federated averaging (McMahan et al., AISTATS 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fal_bench.learning.model import Weights


def average(weights: Sequence[Weights], counts: NDArray[np.int64]) -> Weights:
    """Average the clients' weights, each weighted by its number of labelled samples.

    Floating-point buffers (BatchNorm statistics) are averaged like parameters; integer buffers
    (batch counters) are taken from the first client.

    Args:
        weights: one entry a client.
        counts: labelled samples of each client, shape (clients,); at least one is positive.
    """
    device = next(iter(weights[0].values())).device
    shares = torch.as_tensor(counts / counts.sum(), dtype=torch.float32, device=device)
    averaged: Weights = {}
    for name, first in weights[0].items():
        if first.is_floating_point():
            averaged[name] = torch.tensordot(shares, torch.stack([one[name] for one in weights]), 1)
        else:
            averaged[name] = first
    return averaged
