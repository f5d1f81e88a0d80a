import time

import numpy as np

from fal_bench import Strategy


class Fresh(Strategy):
    name = "fresh-generator"

    def select(self, client, budget):
        return np.random.default_rng().permutation(len(client.unlabelled))[:budget]


class Clock(Strategy):
    name = "clock"

    def select(self, client, budget):
        return (np.arange(budget) + time.perf_counter_ns()) % len(client.unlabelled)


class Counting(Strategy):
    name = "counting-calls"
    calls = 0

    def select(self, client, budget):
        Counting.calls += 1
        return (np.arange(budget) + Counting.calls) % len(client.unlabelled)
