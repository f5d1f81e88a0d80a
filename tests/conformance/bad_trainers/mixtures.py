from fal_bench.trainers.kcfu import Kcfu


class Mean(Kcfu):
    name = "mean-of-mixtures"

    def mixed_losses(self, logits, batch):
        return super().mixed_losses(logits, batch).mean()


class Normalised(Kcfu):
    name = "normalised-mixtures"

    def mixed_losses(self, logits, batch):
        losses = super().mixed_losses(logits, batch)
        return losses / (1 + losses.detach().mean(-1, keepdim=True))


class Across(Kcfu):
    name = "mixing-clients"

    def mixed_losses(self, logits, batch):
        return super().mixed_losses(logits, batch) * batch.class_counts.sum()


class Naive(Kcfu):
    name = "undefined-mixtures"

    def mixed_losses(self, logits, batch):
        return super().mixed_losses(logits, batch) / (batch.round - batch.round).unsqueeze(-1)
