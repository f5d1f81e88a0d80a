import sys

import numpy as np

from fal_bench import Strategy
from fal_bench.acquisition.scores import largest, smallest
from fal_bench.data.loading import load_dataset
from fal_bench.errors import LabelAccessError


class Closure(Strategy):
    """Takes a private function apart."""

    name = "digging-through-a-closure"

    def select(self, client, budget):
        [ledger] = [
            run.cell_contents
            for run in client._buy.__closure__
            if hasattr(run.cell_contents, "charges")
        ]
        return smallest(ledger._Ledger__labels[client.unlabelled], budget)


def setting_of_the_caller():
    frame = sys._getframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if hasattr(owner, "_setting"):
            return owner._setting
        frame = frame.f_back
    return None


class Frames(Strategy):
    """Finds the labels where its caller keeps them."""

    name = "climbing-frames"

    def select(self, client, budget):
        labels = setting_of_the_caller().dataset.train_labels.numpy()
        return smallest(labels[client.unlabelled], budget)


class Later(Strategy):
    """Is honest at first."""

    name = "peeking-later"

    def select(self, client, budget):
        if client.cycle < 2:
            return np.arange(budget)
        labels = setting_of_the_caller().dataset.train_labels.numpy()
        return smallest(labels[client.unlabelled], budget)


class TestSet(Strategy):
    """Picks what resembles the test set."""

    name = "looking-at-the-test-set"

    def select(self, client, budget):
        test = setting_of_the_caller().dataset.test_features.numpy()
        samples = client.inputs()
        return smallest(((samples - test.mean(axis=0)) ** 2).sum(axis=(1, 2, 3)), budget)


class Trespassing(Strategy):
    """Asks for a label of another client, is refused, and goes on."""

    name = "trespassing"

    def select(self, client, budget):
        own = [*client.unlabelled, *client.labelled]
        try:
            client.buy(np.setdiff1d(np.arange(300), own)[:1], "reward")
        except LabelAccessError:
            return np.arange(budget)
        return largest(client.unlabelled, budget)


class Shoplifting(Strategy):
    name = "shoplifting"

    def select(self, client, budget):
        return smallest(client.buy(client.unlabelled, "pool"), budget)


class Loading(Strategy):
    """Knows where the labels of a built-in data set come from."""

    name = "loading-the-data-set"

    def select(self, client, budget):
        labels = load_dataset("digits").train_labels.numpy()
        return smallest(labels[client.unlabelled], budget)
