from fal_bench.trainers.cross_entropy import CrossEntropy


class Weighted(CrossEntropy):
    name = "weighted-by-rarity"

    def losses(self, logits, batch):
        weights = 1 / batch.class_counts
        weights = weights / weights.sum(-1, keepdim=True)
        return weights.gather(-1, batch.labels) * super().losses(logits, batch)
