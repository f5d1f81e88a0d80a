import numpy as np

from fal_bench import Strategy
from fal_bench.acquisition.scores import smallest, top_two_margin


class SecondBest(Strategy):
    name = "second-best"

    def select(self, client, budget):
        margins = top_two_margin(client.probs(client.global_model))
        return np.argpartition(margins, 1)[:budget]


class Standardised(Strategy):
    name = "standardised"

    def select(self, client, budget):
        distances = client.inputs().sum(axis=(1, 2, 3))
        spread = distances.std(ddof=1) or 1.0
        return smallest(distances / spread, budget)
