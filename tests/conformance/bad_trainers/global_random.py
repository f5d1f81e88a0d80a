import numpy as np
import torch

from fal_bench.trainers.cross_entropy import CrossEntropy


class Noisy(CrossEntropy):
    name = "noisy"

    def losses(self, logits, batch):
        return super().losses(logits + torch.randn_like(logits), batch)


class Seeding(CrossEntropy):
    name = "seeding"

    def losses(self, logits, batch):
        torch.manual_seed(3)
        return super().losses(logits, batch)


class Drawing(CrossEntropy):
    name = "drawing-in-probs"

    def probs(self, logits):
        np.random.rand()  # noqa: NPY002
        return super().probs(logits)
