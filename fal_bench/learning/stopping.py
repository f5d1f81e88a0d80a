"""When a local training ends."""

from __future__ import annotations

import math

from fal_bench.plugins.needs import LocalTraining


class Stopping:
    """Counts the epochs of one training.

    Args:
        training: the recipe.
        samples: samples of the training.
    """

    def __init__(self, training: LocalTraining, samples: int) -> None:
        self._training = training
        self._samples = samples
        self._epoch = 0
        self._loss = 0.0
        self._lowest = math.inf
        self._stale = 0

    def count(self, loss: float) -> None:
        """Add the sum of the losses of one batch's samples, before the update."""
        self._loss += loss

    def end_epoch(self, correct: int = 0) -> bool:
        """Count an epoch; return whether it was the last one.

        Args:
            correct: samples that the model classifies correctly now, in evaluation mode; not read
                if the recipe does not stop by accuracy.
        """
        recipe = self._training
        self._epoch += 1
        accurate = correct / self._samples
        self._stale = 0 if self._loss < self._lowest else self._stale + 1
        self._lowest = min(self._lowest, self._loss)
        self._loss = 0.0
        by_accuracy = recipe.stop_at_accuracy is not None and accurate >= recipe.stop_at_accuracy
        by_loss = recipe.patience is not None and self._stale >= recipe.patience
        return self._epoch >= recipe.epochs or by_accuracy or by_loss
