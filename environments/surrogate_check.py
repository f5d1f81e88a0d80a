"""Are the surrogates worth trusting? Rank correlation of their gains with a real model's.

Run ``python -m fal_bench.environments.surrogate_check``. A small network stands for the current
global model. Episodes of random batch sizes run on a surrogate; every labelled set they pass
through is refitted by finetuning the network itself, and the gains in precision from one set to
the next are compared. Finetuning twice, with two batch orders, shows how well one refit of the
real model predicts another: no surrogate can be expected to do better.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from fal_bench.arrays import DoubleArray, IntArray
from fal_bench.data.base import Dataset
from fal_bench.datasets.digit_pairs import load_digit_pairs
from fal_bench.datasets.digits import load_digits
from fal_bench.environments.episode_data import (
    REWARD,
    CountingLabels,
    EpisodeData,
    Samples,
    hold_out,
)
from fal_bench.environments.fedral_batch import FedRALBatchEnv
from fal_bench.environments.finetune import Finetune, Network
from fal_bench.environments.heads import Classifier, Fit, RidgeFit, SoftmaxFit
from fal_bench.metrics.classification import weighted_precision

HIDDEN = 128


@dataclass(frozen=True)
class Agreement:
    """Spearman rank correlations with the gains of the real model, over logged transitions.

    Attributes:
        transitions: how many transitions were compared.
        ridge: gains of the ridge head, the mean over the real model's two batch orders.
        softmax: gains of the softmax head, likewise.
        ceiling: gains of the real model with the other batch order.
    """

    transitions: int
    ridge: float
    softmax: float
    ceiling: float


@dataclass
class RecordingFit:
    """A ``Fit`` that passes its work on and remembers every labelled set.

    Attributes:
        fit: does the fitting.
        sets: the (features, labels) pairs so far.
    """

    fit: Fit
    sets: list[tuple[NDArray[Any], IntArray]] = field(default_factory=list)

    def __call__(self, features: NDArray[Any], labels: IntArray, n_classes: int) -> Classifier:
        """Fit, and remember the labelled set."""
        self.sets.append((features, labels))
        return self.fit(features, labels, n_classes)


@dataclass(frozen=True, eq=False)
class EmbeddedFit:
    """A ``Fit`` on what a network's body makes of the inputs.

    Attributes:
        body: maps inputs (n, ...) to embeddings (n, d).
        fit: fits on embeddings.
    """

    body: nn.Module
    fit: Fit

    def __call__(self, features: NDArray[Any], labels: IntArray, n_classes: int) -> Classifier:
        """Fit on embeddings of ``features``."""
        head = self.fit(self._embed(features), labels, n_classes)
        return lambda inputs: head(self._embed(inputs))

    @torch.no_grad()
    def _embed(self, features: NDArray[Any]) -> NDArray[Any]:
        embeddings: NDArray[Any] = self.body(torch.from_numpy(features)).numpy()
        return embeddings


def measure(dataset: Dataset, samples: int, episodes: int, seed: int) -> Agreement:
    """Compare surrogates and real model on one client of a data set.

    Args:
        dataset: the data; its test part is not used.
        samples: training samples that the client holds.
        episodes: episodes to log.
        seed: seed of the split, the global model and the actions.
    """
    rng = np.random.default_rng(seed)
    seen, own = np.split(rng.permutation(dataset.n_train), [5 * dataset.n_classes])
    model = _global_model(dataset, seen, seed)
    head = model[-1]
    assert isinstance(head, nn.Linear)
    softmax = SoftmaxFit(head.weight.detach().numpy().T, head.bias.detach().numpy())
    surrogates = [EmbeddedFit(model[:-1], fit) for fit in (RidgeFit(), softmax)]
    fits: list[Fit] = [*surrogates, Finetune(model, seed=0), Finetune(model, seed=1)]
    recorder = RecordingFit(surrogates[-1])
    env = _environment(dataset, own[:samples], recorder, rng)
    gains = []
    for _ in range(episodes):
        passed = _episode(env, recorder, rng)
        precision = np.array([[_precision(env, fit, *one) for one in passed] for fit in fits])
        gains.append(np.diff(precision, axis=1))
    return _agreement(np.concatenate(gains, axis=1))


def _global_model(dataset: Dataset, seen: IntArray, seed: int) -> nn.Sequential:
    """Train a small network on the labels that the federation is taken to have bought so far."""
    body = nn.Sequential(nn.Linear(int(np.prod(dataset.input_shape)), HIDDEN), nn.ReLU())
    model = nn.Sequential(*body, nn.Linear(HIDDEN, dataset.n_classes))
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        bound = parameter.shape[-1] ** -0.5
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    inputs, labels = dataset.train_features.flatten(1)[seen], dataset.train_labels[seen]
    trained = Finetune(model, epochs=50)(inputs.numpy(), labels.numpy(), dataset.n_classes)
    assert isinstance(trained, Network)
    assert isinstance(trained.model, nn.Sequential)
    return trained.model


def _environment(
    dataset: Dataset, own: IntArray, fit: Fit, rng: np.random.Generator
) -> FedRALBatchEnv:
    """Build the agent-training environment of a client on raw inputs: 60 % pool, 10 % state."""
    own = np.sort(own)
    inputs = dataset.train_features.flatten(1).numpy()
    client = Samples(own, inputs[own])
    rest, state = hold_out(client, len(own) // 10, rng)
    agent, _ = hold_out(rest, len(own) * 3 // 10, rng)  # the warm-start and query-pool shares
    pool, reward = hold_out(agent, len(own) // 10, rng)
    labels = CountingLabels(agent.ids, dataset.train_labels.numpy()[agent.ids])
    data = EpisodeData(pool, state, reward, dataset.n_classes)
    return FedRALBatchEnv(data, labels, fit=fit, target_precision=None)


def _episode(
    env: FedRALBatchEnv, recorder: RecordingFit, rng: np.random.Generator
) -> list[tuple[NDArray[Any], IntArray]]:
    """Run an episode of random actions; return the labelled sets it passed through."""
    recorder.sets.clear()
    env.reset(seed=int(rng.integers(2**31)))
    over = False
    while not over:
        *_, terminated, truncated, _ = env.step(rng.integers(len(env.actions)))
        over = terminated or truncated
    return list(recorder.sets)


def _precision(env: FedRALBatchEnv, fit: Fit, features: NDArray[Any], labels: IntArray) -> float:
    """Return the weighted precision on the environment's reward set after a fit."""
    classifier = fit(features, labels, env.data.n_classes)
    predicted = classifier(env.data.reward.features).argmax(axis=1)
    truth = env.labels(env.data.reward.ids, REWARD)
    return weighted_precision(predicted, truth, env.data.n_classes)


def _agreement(gains: DoubleArray) -> Agreement:
    """Correlate rows of gains: ridge, softmax, the real model, the real model refitted."""
    ranks = np.asarray(spearmanr(gains, axis=1).statistic)
    return Agreement(
        transitions=gains.shape[1],
        ridge=float(ranks[0, 2:].mean()),
        softmax=float(ranks[1, 2:].mean()),
        ceiling=float(ranks[2, 3]),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the agreement on digits and digit-pairs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=6, help="episodes a data set and seed")
    parser.add_argument("--seeds", type=int, default=5, help="repetitions")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("data set     transitions  ridge  softmax  real model again")
    for dataset, samples in ((load_digits(), 1200), (load_digit_pairs(), 2000)):
        found = [measure(dataset, samples, options.episodes, s) for s in range(options.seeds)]
        ridge, softmax, ceiling = (
            np.mean([getattr(one, name) for one in found])
            for name in ("ridge", "softmax", "ceiling")
        )
        print(
            f"{dataset.name:<12} {sum(one.transitions for one in found):>11} "
            f"{ridge:>6.2f} {softmax:>8.2f} {ceiling:>17.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
