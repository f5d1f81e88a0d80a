import random

import numpy as np
import torch

from fal_bench import Strategy


class Numpy(Strategy):
    name = "numpy-random"

    def select(self, client, budget):
        return np.random.permutation(len(client.unlabelled))[:budget]  # noqa: NPY002


class Python(Strategy):
    name = "python-random"

    def select(self, client, budget):
        return random.sample(range(len(client.unlabelled)), budget)


class Torch(Strategy):
    name = "torch-random"

    def select(self, client, budget):
        return torch.randperm(len(client.unlabelled)).numpy()[:budget]


class Seeding(Strategy):
    name = "seeding"

    def select(self, client, budget):
        np.random.seed(0)  # noqa: NPY002
        return np.arange(budget)


class Secretive(Strategy):
    """Reads the stream and puts it back where it was."""

    name = "reading-and-restoring"

    def select(self, client, budget):
        state = torch.get_rng_state()
        order = torch.randperm(len(client.unlabelled)).numpy()
        torch.set_rng_state(state)
        return order[:budget]
