import numpy as np

from fal_bench import Strategy


class Front(Strategy):
    def select(self, client, budget):
        self.change(client)
        return np.arange(budget)


class Weights(Front):
    name = "scribbling-on-the-model"

    def change(self, client):
        client.global_model.weights["head.bias"].zero_()


class Previous(Front):
    name = "scribbling-on-the-previous-model"

    def change(self, client):
        client.previous_model.weights["head.bias"] += 1


class Gradients(Front):
    name = "asking-for-gradients"

    def change(self, client):
        client.global_model.weights["head.bias"].requires_grad_()


class Pool(Front):
    name = "reordering-the-pool"

    def change(self, client):
        client.unlabelled = client.unlabelled[::-1]


class Labels(Front):
    name = "rewriting-labels"

    def change(self, client):
        client.labels.setflags(write=True)
        client.labels[:] = 0


class Samples(Front):
    name = "augmenting-in-place"

    def change(self, client):
        client._features[client.unlabelled] = 0
