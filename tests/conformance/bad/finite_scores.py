import numpy as np

from fal_bench import Strategy


class PlainEntropy(Strategy):
    name = "plain-entropy"

    def select(self, client, budget):
        probs = client.probs(client.global_model)
        return np.argsort((probs * np.log(probs)).sum(axis=1))[:budget]


class Normalised(Strategy):
    name = "normalised-logits"

    def select(self, client, budget):
        two = np.sort(client.logits(client.global_model), axis=1)[:, [-1, -2, 0]]
        return np.argsort((two[:, 0] - two[:, 1]) / (two[:, 0] - two[:, 2]))[:budget]
