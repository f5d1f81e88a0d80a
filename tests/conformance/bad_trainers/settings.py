import numpy as np
import torch

from fal_bench.trainers.cross_entropy import CrossEntropy


class Threads(CrossEntropy):
    name = "changing-threads"

    def losses(self, logits, batch):
        torch.set_num_threads(2)
        return super().losses(logits, batch)


class Silent(CrossEntropy):
    name = "silencing-numpy"

    def probs(self, logits):
        np.seterr(all="ignore")
        return super().probs(logits)
