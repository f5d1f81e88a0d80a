import torch

from fal_bench.trainers.cross_entropy import CrossEntropy


class Normalised(CrossEntropy):
    name = "normalised-by-the-batch"

    def losses(self, logits, batch):
        losses = super().losses(logits, batch)
        return losses / losses.detach().mean(-1, keepdim=True).clamp(min=0.1)


class Cumulative(CrossEntropy):
    name = "looking-back"

    def losses(self, logits, batch):
        losses = super().losses(logits, batch)
        return losses + 0.5 * losses.cumsum(-1) / torch.arange(1, losses.shape[-1] + 1)


class Balanced(CrossEntropy):
    name = "balanced-within-the-batch"

    def losses(self, logits, batch):
        classes = torch.nn.functional.one_hot(batch.labels, logits.shape[-1]).to(logits.dtype)
        weight = (classes / classes.sum(-2, keepdim=True).clamp(min=1)).sum(-1)
        return super().losses(logits, batch) * weight
