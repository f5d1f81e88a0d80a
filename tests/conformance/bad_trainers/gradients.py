from fal_bench.trainers.cross_entropy import CrossEntropy


class Cut(CrossEntropy):
    name = "cut-off"

    def losses(self, logits, batch):
        return super().losses(logits.detach(), batch)


class Constant(CrossEntropy):
    name = "constant"

    def losses(self, logits, batch):
        return super().losses(0 * logits, batch)
