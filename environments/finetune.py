"""Refitting the real model inside episodes: slow, and what the surrogate is checked against."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from fal_bench.arrays import FloatArray, IntArray, RealArray
from fal_bench.environments.heads import Classifier
from fal_bench.errors import InvalidSpecError


@dataclass(frozen=True, eq=False)
class Finetune:
    """Trains a copy of a model on all labels, always from the same initial weights; a ``Fit``.

    The batch order comes from a stream that is the same for every fit, so equal labels in equal
    order give an equal classifier. The model must not draw random numbers itself (dropout).

    Attributes:
        model: maps inputs (n, ...) to logits (n, n_classes); it is not changed.
        epochs: passes over the labelled samples.
        learning_rate: step size of plain SGD.
        batch_size: samples a step.
        seed: seed of the batch order.
    """

    model: nn.Module
    epochs: int = 20
    learning_rate: float = 0.1
    batch_size: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or not self.learning_rate > 0:
            raise InvalidSpecError(
                "Finetuning needs positive epochs, batch_size and learning_rate, not "
                f"{self.epochs}, {self.batch_size} and {self.learning_rate}."
            )

    def __call__(self, features: NDArray[Any], labels: IntArray, n_classes: int) -> Classifier:
        """Finetune on inputs (n, ...) and labels (n,); the model sets the number of classes."""
        del n_classes
        model = copy.deepcopy(self.model).train()
        inputs, targets = torch.from_numpy(features), torch.from_numpy(labels)
        optimiser = torch.optim.SGD(model.parameters(), lr=self.learning_rate)
        order = torch.Generator().manual_seed(self.seed)
        for _ in range(self.epochs):
            shuffled = torch.randperm(len(targets), generator=order)
            for batch in torch.split(shuffled, self.batch_size):
                optimiser.zero_grad()
                loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        return Network(model.eval())


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network as a ``Classifier``.

    Attributes:
        model: maps inputs (n, ...) to logits (n, n_classes).
    """

    model: nn.Module

    @torch.no_grad()
    def __call__(self, features: NDArray[Any]) -> RealArray:
        """Return probabilities (n, n_classes) of inputs (n, ...)."""
        probs: FloatArray = self.model(torch.from_numpy(features)).softmax(dim=1).numpy()
        return probs
