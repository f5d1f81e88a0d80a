import numpy as np

from fal_bench import Strategy
from fal_bench.acquisition.scores import smallest


class Prototypes(Strategy):
    """Hesitates between the two nearest class means of the labelled samples."""

    name = "two-nearest-classes"

    def select(self, client, budget):
        labelled, pool = client.inputs(client.labelled), client.inputs()
        means = np.stack(
            [labelled[client.labels == label].mean(axis=0) for label in np.unique(client.labels)]
        )
        distances = ((pool[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
        nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
        return smallest(second - nearest, budget)
