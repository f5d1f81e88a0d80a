"""Costly inputs a strategy may ask for, declared as data so that the harness can plan them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.trainer import Trainer

if TYPE_CHECKING:
    from fal_bench.task import Augmentation


@dataclass(frozen=True)
class Adam:
    """Adam's step in place of SGD's (Kingma and Ba, ICLR 2015).

    Attributes:
        beta1: how much of the mean of the gradients is kept at a step.
        beta2: how much of the mean of their squares is kept.
        epsilon: added to the root of that mean.
        decoupled: whether weights decay apart from the gradient, as in AdamW (Loshchilov and
            Hutter, ICLR 2019).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decoupled: bool = False


TASK_SETTINGS: Final = frozenset({"lr", "batch_size", "momentum", "weight_decay", "adam"})
"""The settings of a local training that a task has, too."""


LOCAL_TRAINING: Final = "local training"
LOCAL_TRAINING_VERSION: Final = "2"
"""What identifies, in a run's key, how local trainings end, where the strategy's version does not.

Before 2 they ended by the running accuracy in training mode, and had settings of their own.
"""


@dataclass(frozen=True)
class LocalTraining:
    """How one client trains a model on its own labelled samples.

    Attributes:
        epochs: most epochs.
        batch_size: most samples of a batch; the batches of an epoch are as few as that allows, and
            their sizes differ by one at most.
        lr: learning rate.
        momentum: momentum of SGD.
        weight_decay: L2 penalty.
        stop_at_accuracy: stop after an epoch at whose end the model classifies at least this share
            of its own labelled samples correctly, in evaluation mode and without augmentation, as
            LoGo's released code does; ``None`` always runs all epochs.
        lr_drop_step: number of updates after which the learning rate falls to a tenth; ``None``
            keeps it.
        patience: stop after this many epochs in a row whose training loss, measured batch by batch
            before each update, is no lower than the lowest before; ``None`` never stops for it.
        trainer: the loss; ``None`` is the run's trainer, cross-entropy if there is no run.
        lr_share: the learning rate as a share of the task's own, in place of ``lr``; the steps are
            then Adam's where the task's are.
        augmentation: what happens to images; ``None`` is the task's, none if there is no task.
        adam: takes Adam's steps; ``None`` takes those of SGD.
        proximal: FedProx's mu: how much of the way from the weights that the training starts from
            is added to every gradient.
        inherited: those of ``TASK_SETTINGS`` that are the task's own, whatever stands here.
    """

    epochs: int = 50
    batch_size: int = 64
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-5
    stop_at_accuracy: float | None = 0.99
    lr_drop_step: int | None = None
    patience: int | None = None
    trainer: Trainer | None = None
    lr_share: float | None = None
    augmentation: Augmentation | None = None
    adam: Adam | None = None
    proximal: float = 0.0
    inherited: frozenset[str] = frozenset()


LIKE_TASK: Final = LocalTraining(epochs=200, inherited=TASK_SETTINGS)
"""The local-only training of LoGo, FairFAL and IFAL: with the federation's own settings."""


@dataclass(frozen=True)
class LocalModel:
    """A model per client, trained from a fresh initialisation on that client's labels only.

    Declared in ``Strategy.needs``, it becomes ``ClientView.local_model``. Not to be confused with
    ``ClientView.previous_model``, the client's weights of the last federated round.

    Attributes:
        training: how it is trained; with the task's settings unless it says otherwise.
    """

    training: LocalTraining = LIKE_TASK


@dataclass(frozen=True)
class DistilledModel:
    """A model per client, trained from a fresh initialisation on its labels and a teacher.

    The teacher is the global model. Declared in ``Strategy.needs``, it becomes
    ``ClientView.distilled_model``. The defaults are those of IFAL (Zong et al., IJCAI 2025).

    Attributes:
        training: how it is trained; its trainer must be a ``Distillation``.
    """

    training: LocalTraining = LocalTraining(
        epochs=500,
        lr_share=0.1,
        stop_at_accuracy=None,
        patience=5,
        trainer=Distillation(),
        augmentation="none",  # the teacher has seen the samples as they are
        inherited=TASK_SETTINGS - {"lr"},
    )


@dataclass(frozen=True)
class EpochPredictions:
    """What a client's model predicts after each local epoch of the last federated round.

    Declared in ``Strategy.needs``, it becomes ``ClientView.epoch_predictions``.
    """


@dataclass(frozen=True)
class RoundSnapshots:
    """The global model as it was after some of the cycle's rounds.

    Declared in ``Strategy.needs``, they become ``ClientView.snapshots``. On tasks with fewer rounds
    the strategy is refused before anything runs.

    Attributes:
        every: a snapshot is kept after each so many rounds.
        most: the first so many are kept, and no more.
    """

    every: int = 2
    most: int = 20

    def keeps(self, number: int) -> bool:
        """Whether the model is kept after a round; rounds count from 0."""
        return (number + 1) % self.every == 0 and number < self.every * self.most


@dataclass(frozen=True)
class TargetDomain:
    """The unlabelled inputs of the domain that the model is for, at the server.

    Declared in ``Strategy.needs``, they become ``FederationView.target``. Tasks have them whose
    partition names a target (``{ kind = "given", target = "NAME" }``); on others the strategy is
    refused before anything runs.
    """


Need = LocalModel | DistilledModel | EpochPredictions | RoundSnapshots | TargetDomain
"""Every kind of declared input."""
