"""When a local training ends."""

from __future__ import annotations

import math

from fal_bench.plugins.needs import LocalTraining


class Stopping:
    """Counts the epochs of one training.

    Args:
        training: the recipe.
        samples: samples of the training.

    Attributes:
        needed: the fewest correct predictions that end it, if the recipe stops by accuracy; else
            more than there are samples.
    """

    def __init__(self, training: LocalTraining, samples: int) -> None:
        self._training = training
        self.needed = _fewest(training.stop_at_accuracy, samples)
        self._epoch = 0
        self._loss = 0.0
        self._lowest = math.inf
        self._stale = 0

    def count(self, loss: float) -> None:
        """Add the sum of the losses of one batch's samples, before the update."""
        self._loss += loss

    @property
    def left(self) -> int:
        """Epochs that are left at most."""
        return self._training.epochs - self._epoch

    def end_epoch(self, correct: int = 0) -> bool:
        """Count an epoch; return whether it was the last one.

        Args:
            correct: samples that the model classifies correctly now, in evaluation mode; any number
                below ``needed`` says that they are too few.
        """
        return self.end_epochs(1, correct)

    def end_epochs(self, number: int, correct: int = 0) -> bool:
        """Count epochs of a recipe; more than one at once only where nothing else ends it.

        Args:
            number: how many.
            correct: see ``end_epoch``.
        """
        self._epoch += number
        if correct >= self.needed:
            return True
        return self._epoch >= self._training.epochs or self._is_stale()

    def _is_stale(self) -> bool:
        """Whether the loss of an epoch that has ended was one of too many that are not lower."""
        patience = self._training.patience
        if patience is None:
            return False
        self._stale = 0 if self._loss < self._lowest else self._stale + 1
        self._lowest = min(self._lowest, self._loss)
        self._loss = 0.0
        return self._stale >= patience


def _fewest(accuracy: float | None, samples: int) -> int:
    """Return the fewest of ``samples`` whose share is at least an accuracy; else one more."""
    beyond = samples + 1
    if accuracy is None:
        return beyond
    near = math.ceil(accuracy * samples)  # rounded, so that the fewest may be one beside it
    found = (one for one in (near - 1, near, near + 1) if one / samples >= accuracy)
    return min(next(found, beyond), beyond)
