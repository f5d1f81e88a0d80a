"""Train the learned score on made-up data and three small sets of scikit-learn.

``python train.py`` simulates 24 federations, in which a third of the clients buys at random, a
third where the head would move most, and a third by the oracle. Of three moments of every query it
notes the features of all samples and the oracle's gains, and it fits a network to their ranks.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from learned_score import WEIGHTS, Pool, ranks

from fal_bench import Dataset, Strategy, Task
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.learning.engine import train
from fal_bench.strategies.oracle_greedy import GrowingHead, Samples

QUERY, QUERIES, SMALL = 5, 5, 500


class Teacher(Strategy):
    """Buys in three ways, and notes what the oracle would gain by each sample."""

    name = "teacher"
    reference = True  # it sees true labels
    notes: list[tuple[np.ndarray, np.ndarray]]

    def select(self, client, budget):
        """Buy as the client's number says."""
        known = Samples.of(client, client.labelled, client.labels)
        truth = Samples.of(client, None, client.hindsight())
        head, pool = GrowingHead(known, truth, 0.3, 0.5), Pool(client)
        chosen = []
        for step in range(budget):
            gains, features = head.gains(), pool.features()
            if step in (0, budget // 2, budget - 1):
                self.notes.append((features[pool.left], ranks(gains[pool.left])))
            moving = features[:, 4] + 0.3 * client.rng.random(len(gains))
            ways = (client.rng.random(len(gains)), moving, gains)
            chosen.append(pool.buy(ways[client.index % len(ways)]))
            head.add(chosen[-1])
        return np.array(chosen)


def made_up(rng):
    """Return classes of one to three Gaussian groups each, bent or not, of uneven frequency."""
    classes, groups, width = rng.integers(3, 13), rng.integers(1, 4), rng.integers(10, 60)
    centres, noise = rng.normal(size=(classes, groups, width)), rng.uniform(0.5, 1.4)
    chances = rng.dirichlet(np.full(classes, 5.0))
    bend = 1.5 * rng.normal(size=(width, width)) / width**0.5 if rng.random() < 0.5 else None

    def part(count):
        labels = rng.choice(classes, count, p=chances)
        labels[:classes] = np.arange(classes)
        group = rng.integers(groups, size=count)
        values = centres[labels, group] + noise * rng.normal(size=(count, width))
        return as_tensors(values if bend is None else np.tanh(values @ bend), labels)

    return Dataset("made-up", *part(1200), *part(200), n_classes=int(classes))


def of_scikit_learn(rng):
    """Return wine, breast cancer or iris, with a fifth of the samples as test set."""
    from sklearn import datasets

    loaders = (datasets.load_wine, datasets.load_breast_cancer, datasets.load_iris)
    found = loaders[rng.integers(len(loaders))]()
    order = rng.permutation(len(found.data))
    scaled = (found.data - found.data.mean(axis=0)) / found.data.std(axis=0)
    values, labels, test = scaled[order], found.target[order], len(order) // 5
    parts = as_tensors(values[test:], labels[test:]), as_tensors(values[:test], labels[:test])
    return Dataset("small", *parts[0], *parts[1], n_classes=len(found.target_names))


def as_tensors(values, labels):
    """Return samples as vectors, shape (n, d, 1, 1), and their labels."""
    samples = values.astype(np.float32)[:, :, None, None]
    return torch.from_numpy(samples), torch.from_numpy(labels.astype(np.int64))


def federation(number):
    """Return the setting of one federation: every sixth is of scikit-learn."""
    rng = np.random.default_rng(number)
    data = of_scikit_learn(rng) if number % 6 == 5 else made_up(rng)
    small = data.n_train < SMALL
    clients, initial = (2, 4) if small else (3, int(rng.choice([3, 10, 20])))
    partition = {"kind": "dirichlet", "alpha": float(rng.choice([0.1, 0.5, 1.0]))}
    if small or rng.random() < 0.5:
        partition = {"kind": "iid"}
    task = Task.model_validate(
        {
            "name": "teaching",
            "dataset": data.name,
            "clients": clients,
            "partition": partition,
            "model": {"kind": "mlp", "hidden": [64]},
            "rounds": 15,
            "local_epochs": 2,
            "batch_size": 16,
            "initial_labels": initial,
            "query_size": QUERY,
            "budget_cap": clients * (initial + QUERY * QUERIES),
        }
    )
    return Setting.draw(task, number, data)


def noted(numbers):
    """Run federations; return features, and ranks of the oracle's gains."""
    Teacher.notes = []
    for number in numbers:
        run = simulate(federation(number), Teacher, MemoryJournal())
        request = next(run, None)
        while request is not None:
            try:
                request = run.send(train([request])[0])
            except StopIteration:
                request = None
    features, gains = zip(*Teacher.notes, strict=True)
    return np.concatenate(features), np.concatenate(gains)


def fitted(features, gains, most=60_000):
    """Fit the network to a part of the samples; return its layers."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    rows = np.random.default_rng(0).permutation(len(features))[:most]
    network = MLPRegressor(
        hidden_layer_sizes=(24,), alpha=1e-3, learning_rate_init=3e-3, batch_size=512,
        max_iter=60, early_stopping=True, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # sixty passes are enough
        network.fit(features[rows], gains[rows])
    hidden, output = network.coefs_
    layers = {"hidden": hidden, "hidden_bias": network.intercepts_[0], "output": output[:, 0]}
    return {name: np.round(layer, 6).tolist() for name, layer in layers.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--federations", type=int, default=24)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    layers = fitted(*noted(range(options.federations)))
    options.out.write_text(json.dumps(layers) + "\n")
