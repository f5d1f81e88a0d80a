from fal_bench.trainers.cross_entropy import CrossEntropy


class Summed(CrossEntropy):
    """The sum of the counts has no axis, so it is that of all clients."""

    name = "summed-over-clients"

    def losses(self, logits, batch):
        prior = batch.class_counts.clamp(min=1) / batch.class_counts.sum()
        return super().losses(logits + prior.unsqueeze(-2), batch) * batch.class_counts.sum() / 100


class First(CrossEntropy):
    name = "looking-at-the-first-round"

    def losses(self, logits, batch):
        first = batch.round.reshape(-1)[0]
        return super().losses(logits, batch) * (1 + first)
