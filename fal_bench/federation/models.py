"""The models that one cycle's training leaves, for the federation and for one client."""

from __future__ import annotations

from dataclasses import dataclass

from fal_bench.learning.model import Model, Weights


@dataclass(frozen=True)
class ClientModels:
    """The models that one client may use in its query.

    Attributes:
        global_model: the federation's model.
        previous: this client's weights before the last aggregation.
        local: its local-only model, if the strategy declares it.
        distilled: its distilled model, if the strategy declares it.
        epochs: its models after each local epoch of the last round, if the strategy declares
            ``EpochPredictions``; empty otherwise.
        snapshots: the federation's model after some rounds, if the strategy declares
            ``RoundSnapshots``; empty otherwise.
    """

    global_model: Model
    previous: Model
    local: Model | None
    distilled: Model | None
    epochs: tuple[Model, ...]
    snapshots: tuple[Model, ...]


@dataclass(frozen=True)
class CycleModels:
    """What one cycle's federated training leaves.

    Attributes:
        global_model: the federation's model.
        previous: each client's weights before the last aggregation.
        epochs: each client's weights after each local epoch of the last round, if they were kept.
        snapshots: the federation's model after some rounds, if they were kept.
    """

    global_model: Model
    previous: tuple[Weights, ...]
    epochs: tuple[tuple[Weights, ...], ...] = ()
    snapshots: tuple[Model, ...] = ()

    def copied(self) -> CycleModels:
        """Return copies, for code that might write to them."""
        architecture = self.global_model.architecture
        return CycleModels(
            Model(architecture, copied(self.global_model.weights)),
            tuple(map(copied, self.previous)),
            tuple(tuple(map(copied, own)) for own in self.epochs),
            tuple(Model(architecture, copied(one.weights)) for one in self.snapshots),
        )

    def of_client(
        self, client: int, local: Model | None = None, distilled: Model | None = None
    ) -> ClientModels:
        """Return what one client may use.

        Args:
            client: the client's number.
            local: its local-only model.
            distilled: its distilled model.
        """
        architecture = self.global_model.architecture
        epochs = self.epochs[client] if self.epochs else ()
        return ClientModels(
            self.global_model,
            Model(architecture, self.previous[client]),
            local,
            distilled,
            tuple(Model(architecture, weights) for weights in epochs),
            self.snapshots,
        )


def copied(weights: Weights) -> Weights:
    """Return copies of weights."""
    return {name: tensor.clone() for name, tensor in weights.items()}
