"""Costly inputs a strategy may ask for, declared as data so that the harness can plan them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LocalTraining:
    """How one client trains a model on its own labelled samples, outside the federated rounds.

    The defaults are those of LoGo's local-only model (Kim et al., CVPR 2023, released code).

    Attributes:
        epochs: most epochs.
        batch_size: batch size; the last batch of an epoch may be smaller.
        lr: learning rate of SGD.
        momentum: momentum of SGD.
        weight_decay: L2 penalty of SGD.
        stop_at_accuracy: stop after an epoch whose training accuracy, measured batch by batch
            before each update, is at least this; ``None`` always runs all epochs.
        lr_drop_step: number of updates after which the learning rate falls to a tenth; ``None``
            keeps it.
    """

    epochs: int = 50
    batch_size: int = 64
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-5
    stop_at_accuracy: float | None = 0.99
    lr_drop_step: int | None = None


@dataclass(frozen=True)
class LocalModel:
    """A model per client, trained from a fresh initialisation on that client's labels only.

    Declared in ``Strategy.needs``, it becomes ``ClientView.local_model``. Not to be confused with
    ``ClientView.previous_model``, the client's weights of the last federated round.

    Attributes:
        training: how it is trained.
    """

    training: LocalTraining = LocalTraining()


Need = LocalModel
"""Every kind of declared input (a union as more kinds are added)."""
