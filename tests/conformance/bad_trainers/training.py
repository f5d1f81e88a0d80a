from fal_bench.trainers.cross_entropy import CrossEntropy


class Exploding(CrossEntropy):
    name = "exploding"

    def losses(self, logits, batch):
        return 1e20 * super().losses(logits, batch)
