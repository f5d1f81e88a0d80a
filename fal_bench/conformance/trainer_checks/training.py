"""Clients can train with it, in both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.trainer_checks.finite import CHECK as FINITE
from fal_bench.conformance.trainer_checks.gradients import CHECK as GRADIENTS
from fal_bench.conformance.trainer_checks.lanes import CHECK as LANES
from fal_bench.conformance.trainer_checks.mixtures import CHECK as MIXTURES
from fal_bench.conformance.trainer_checks.mutation import CHECK as MUTATION
from fal_bench.conformance.trainer_checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.trainer_checks.samples import CHECK as SAMPLES
from fal_bench.conformance.trainer_subject import TrainerSubject
from fal_bench.conformance.world import WORLDS
from fal_bench.federation.setting import Setting
from fal_bench.learning.model import Weights
from fal_bench.learning.request import Lane, TrainedLane
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.plugins.needs import LocalTraining

Engine = Callable[..., tuple[TrainedLane, ...]]

EPOCHS = 5
TOLERANCE = 1e-3


def _run(subject: TrainerSubject) -> None:
    _ = subject.ordinary
    for check in (FINITE, GRADIENTS, REPEATABLE, MUTATION, SAMPLES, LANES):
        subject.require(check)
    if subject.mixes:
        subject.require(MIXTURES)
    setting = WORLDS[0].setting()
    task = setting.task
    recipe = LocalTraining(
        EPOCHS, task.batch_size, task.optimiser.lr, stop_at_accuracy=None, trainer=subject.made
    )
    network, classes = setting.architecture.network, setting.dataset.n_classes
    where = f"world {WORLDS[0].name}, {EPOCHS} epochs"
    engines: tuple[Engine, ...] = (train_stacked, train_sequentially)
    stacked, plain = (
        subject.call(
            partial(engine, network, recipe, tuple(_lanes(setting)), classes), "a training", where
        )
        for engine in engines
    )
    for ours, theirs in zip(stacked, plain, strict=True):
        if not _finite(ours.weights):
            raise Failure("Weights do not stay finite in a training.", where)
        if not _close(ours.weights, theirs.weights):
            raise Failure("A client trained alone ends at other weights than beside others.", where)


def _lanes(setting: Setting) -> Iterator[Lane]:
    """Yield the training of each client on its initial labels."""
    model = setting.architecture.fresh(setting.streams.torch("check"))
    data = setting.dataset
    for client, ids in enumerate(setting.initial):
        yield Lane(
            model.weights,
            data.train_features[ids],
            data.train_labels[ids],
            setting.streams.numpy("check-batches", client),
            round=1,
            unlabelled=data.train_features[:40],
        )


def _finite(weights: Weights) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in weights.values())


def _close(ours: Weights, theirs: Weights) -> bool:
    return all(
        torch.allclose(tensor, theirs[name], rtol=TOLERANCE, atol=TOLERANCE)
        for name, tensor in ours.items()
    )


CHECK = Check(
    "training",
    "clients train with it, alike in both engines, and weights stay finite",
    "Scale the loss to the size of a cross-entropy, so that the learning rates of the tasks "
    "suit it.",
    _run,
)
