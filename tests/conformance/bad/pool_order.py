import numpy as np

from fal_bench import Strategy
from fal_bench.acquisition.scores import smallest


class First(Strategy):
    name = "first-come"
    deterministic = True

    def select(self, client, budget):
        return np.arange(budget)


class Noisy(Strategy):
    name = "noisy-scores"
    deterministic = True

    def select(self, client, budget):
        return smallest(client.rng.normal(size=len(client.unlabelled)), budget)
