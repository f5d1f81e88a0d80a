import numpy as np

from fal_bench import Strategy
from fal_bench.acquisition.scores import largest, smallest


def distance(samples, other):
    return ((samples - other) ** 2).sum(axis=(1, 2, 3))


class OnSelf(Strategy):
    """Leaves the next client what the last one has."""

    name = "passing-on-self"

    def select(self, client, budget):
        samples = client.inputs()
        before = getattr(self, "before", samples[0])
        self.before = samples.mean(axis=0)
        return largest(distance(samples, before), budget)


class Around(Strategy):
    """Pools samples at the server without a message."""

    name = "pooling-in-silence"

    def select_all(self, federation):
        centres = []

        def look(client, budget):
            centres.append(client.inputs().mean(axis=0))
            return np.arange(budget)

        federation.each(look)
        centre = np.mean(centres, axis=0)
        return federation.each(
            lambda client, budget: smallest(distance(client.inputs(), centre), budget)
        )


class Foreign(Strategy):
    """Looks at samples of all clients."""

    name = "looking-at-all-samples"

    def select(self, client, budget):
        everything = client._features.numpy()
        return smallest(distance(client.inputs(), everything.mean(axis=0)), budget)
