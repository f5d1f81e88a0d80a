import numpy as np

from fal_bench import Strategy

OFFSETS = {}


def rolled(client, budget, offset):
    return (np.arange(budget) + offset) % len(client.unlabelled)


class OnTheClass(Strategy):
    name = "remembers-on-the-class"
    offsets = {}

    def select(self, client, budget):
        if client.cycle == 0:
            self.offsets[client.index] = int(client.rng.integers(50))
        return rolled(client, budget, self.offsets[client.index])


class InTheModule(Strategy):
    name = "remembers-in-the-module"

    def select(self, client, budget):
        if client.cycle == 0:
            OFFSETS[client.index] = int(client.rng.integers(50))
        return rolled(client, budget, OFFSETS[client.index])


class Unstorable(Strategy):
    name = "remembers-a-set"

    def select(self, client, budget):
        client.memory["seen"] = {1, 2}
        return np.arange(budget)
