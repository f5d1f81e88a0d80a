"""The gradient of the loss with respect to the logits, where the way back starts."""

from __future__ import annotations

import torch
from torch import Tensor

from fal_bench.learning.request import is_plain, sample_losses, trainer_of
from fal_bench.learning.stacked.batch import Batch
from fal_bench.learning.stacked.even import widened
from fal_bench.plugins.needs import LocalTraining


def logit_gradient(
    logits: Tensor, batch: Batch, training: LocalTraining
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of every slot's mean loss, and the losses.

    The cross-entropy's is written by hand; any other trainer's comes from autograd, which sees no
    more of the network than its logits.

    Args:
        logits: shape (slots, rows, outputs); left as they are.
        batch: gives labels, counts and the number of classes; outputs beyond it are not known to
            the loss.
        training: the recipe; its trainer mixes no unlabelled samples.

    Returns:
        The gradient, shape (slots, rows, outputs), and the losses, 0 for padding, shape
        (slots, rows); None for the losses where the recipe has no need of them.
    """
    known = batch.known(logits)
    if is_plain(training):
        return widened(cross_entropy_gradient(known, batch), logits.shape[2]), None
    with torch.enable_grad():
        leaf = known.detach().requires_grad_()
        losses = sample_losses(trainer_of(training), leaf, batch.local())
        [gradient] = torch.autograd.grad((losses * batch.shares).sum(), leaf)
    return widened(gradient, logits.shape[2]), losses.detach() * batch.inside


def cross_entropy_gradient(logits: Tensor, batch: Batch) -> Tensor:
    """Return the gradient of every slot's mean cross-entropy, 0 in rows of padding.

    Args:
        logits: shape (slots, rows, classes); left as they are.
        batch: gives labels and counts.

    Returns:
        Shape (slots, rows, classes).
    """
    gradient = logits.softmax(2)
    truth = batch.labels.unsqueeze(2)
    gradient.scatter_add_(2, truth, gradient.new_full((), -1.0).expand(truth.shape))
    return gradient.mul_(batch.shares.unsqueeze(2))
