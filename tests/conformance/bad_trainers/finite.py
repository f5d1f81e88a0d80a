from fal_bench.trainers.cross_entropy import CrossEntropy


class Naive(CrossEntropy):
    name = "logarithm-of-a-softmax"

    def losses(self, logits, batch):
        return -logits.softmax(-1).log().gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)


class Root(CrossEntropy):
    """Its losses are finite; where they are 0, the gradient of their root is not."""

    name = "root-of-a-loss"

    def losses(self, logits, batch):
        return super().losses(logits, batch).sqrt()
