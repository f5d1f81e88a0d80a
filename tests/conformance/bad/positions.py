import numpy as np

from fal_bench import Strategy


class Floats(Strategy):
    name = "floats"

    def select(self, client, budget):
        return np.arange(budget) / 1


class Repeated(Strategy):
    name = "repeated"

    def select(self, client, budget):
        return np.zeros(budget, dtype=int)


class Ids(Strategy):
    name = "ids-for-positions"

    def select(self, client, budget):
        return client.unlabelled[-budget:]


class Labelled(Strategy):
    name = "already-labelled"

    def select(self, client, budget):
        return client.labelled[:budget] + len(client.unlabelled)


class TooFew(Strategy):
    name = "too-few"

    def select(self, client, budget):
        return np.arange(budget - 1)


class TooMany(Strategy):
    name = "too-many"
    adaptive = True

    def select(self, client, budget):
        return np.arange(budget + (client.cycle == 2))


class Raising(Strategy):
    name = "raising"

    def select(self, client, budget):
        return np.arange(budget) // (2 - client.cycle)
