import time

from fal_bench.trainers.cross_entropy import CrossEntropy


class Mean(CrossEntropy):
    name = "mean"

    def losses(self, logits, batch):
        return super().losses(logits, batch).mean()


class Raising(CrossEntropy):
    name = "raising-loss"

    def losses(self, logits, batch):
        raise RuntimeError("no idea")


class Hanging(CrossEntropy):
    name = "hanging-loss"

    def losses(self, logits, batch):
        time.sleep(3)


class Flat(CrossEntropy):
    name = "for-many-lanes-only"

    def losses(self, logits, batch):
        _, _, _ = logits.shape
        return super().losses(logits, batch)


class Whole(CrossEntropy):
    name = "whole-numbers"

    def losses(self, logits, batch):
        return (logits.argmax(-1) != batch.labels).long()
