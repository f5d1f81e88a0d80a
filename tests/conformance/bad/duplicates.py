import numpy as np

from fal_bench import Strategy


class KMeansPlusPlus(Strategy):
    """Draws samples with a probability that grows with their distance to those drawn before."""

    name = "distance-sampling"

    def select(self, client, budget):
        samples = client.inputs().reshape(len(client.unlabelled), -1).astype(float)
        chosen = [0]
        while len(chosen) < budget:
            nearest = ((samples[:, None] - samples[chosen][None]) ** 2).sum(axis=2).min(axis=1)
            chosen.append(int(client.rng.choice(len(samples), p=nearest / nearest.sum())))
        return np.array(chosen)
