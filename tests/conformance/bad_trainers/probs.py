import numpy as np

from fal_bench.trainers.cross_entropy import CrossEntropy


class Unnormalised(CrossEntropy):
    name = "unnormalised"

    def probs(self, logits):
        return 1 / (1 + np.exp(-np.clip(logits, -50, 50)))


class Negative(CrossEntropy):
    name = "negative"

    def probs(self, logits):
        return logits / logits.sum(axis=1, keepdims=True)


class Batch(CrossEntropy):
    name = "probabilities-over-a-batch"

    def probs(self, logits):
        return super().probs(logits - logits.mean(axis=0))


class Raising(CrossEntropy):
    name = "raising-probs"

    def probs(self, logits):
        raise RuntimeError("no idea")
