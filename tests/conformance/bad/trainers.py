"""Trainers that each fail the check that their name begins with, before ``--``, and no other."""

import time
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from fal_bench import Params, Trainer
from fal_bench.trainers.cross_entropy import CrossEntropy
from fal_bench.trainers.kcfu import Kcfu


class WithoutLosses(Trainer):
    name = "declaration--without-losses"


class Spaced(CrossEntropy):
    name = "declaration--with a space"


class MixingWithoutLosses(CrossEntropy):
    name = "declaration--mixing-without-losses"
    mixes_unlabelled = 2.0


class VersionedByText(CrossEntropy):
    name = "declaration--versioned-by-text"
    version = "1.0"


class EqualToItselfAlone(CrossEntropy):
    name = "declaration--equal-to-itself-alone"

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


class BadDefault(CrossEntropy):
    name = "params--bad-default"

    class Params(Params):
        weight: Annotated[float, Field(gt=0)] = 0


class ChangedByJson(CrossEntropy):
    name = "params--changed-by-json"

    class Params(Params):
        weights: Any = (1, 2)


class Mean(CrossEntropy):
    name = "losses--mean"

    def losses(self, logits, batch):
        return super().losses(logits, batch).mean()


class Raising(CrossEntropy):
    name = "losses--raising"

    def losses(self, logits, batch):
        raise RuntimeError("no idea")


class Hanging(CrossEntropy):
    name = "losses--hanging"

    def losses(self, logits, batch):
        time.sleep(3)


class ForManyLanesOnly(CrossEntropy):
    name = "losses--for-many-lanes-only"

    def losses(self, logits, batch):
        _, _, _ = logits.shape
        return super().losses(logits, batch)


class WholeNumbers(CrossEntropy):
    name = "losses--whole-numbers"

    def losses(self, logits, batch):
        return (logits.argmax(-1) != batch.labels).long()


class LogarithmOfASoftmax(CrossEntropy):
    name = "finite--logarithm-of-a-softmax"

    def losses(self, logits, batch):
        return -logits.softmax(-1).log().gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)


class RootOfALoss(CrossEntropy):
    """Its losses are finite; where they are 0, the gradient of their root is not."""

    name = "finite--root-of-a-loss"

    def losses(self, logits, batch):
        return super().losses(logits, batch).sqrt()


class CutOff(CrossEntropy):
    name = "gradients--cut-off"

    def losses(self, logits, batch):
        return super().losses(logits.detach(), batch)


class Constant(CrossEntropy):
    name = "gradients--constant"

    def losses(self, logits, batch):
        return super().losses(0 * logits, batch)


class Noisy(CrossEntropy):
    name = "global-random--noisy"

    def losses(self, logits, batch):
        return super().losses(logits + torch.randn_like(logits), batch)


class Seeding(CrossEntropy):
    name = "global-random--seeding"

    def losses(self, logits, batch):
        torch.manual_seed(3)
        return super().losses(logits, batch)


class DrawingInProbs(CrossEntropy):
    name = "global-random--drawing-in-probs"

    def probs(self, logits):
        np.random.rand()  # noqa: NPY002
        return super().probs(logits)


class DrawingForMixtures(Kcfu):
    name = "global-random--drawing-for-mixtures"

    def mixed_losses(self, logits, batch):
        return super().mixed_losses(logits, batch) * torch.rand(())


class CountingItsCalls(CrossEntropy):
    name = "repeatable--counting-its-calls"
    calls = 0

    def losses(self, logits, batch):
        self.calls += 1
        return super().losses(logits, batch) / self.calls


class WithAStreamOfItsOwn(CrossEntropy):
    name = "repeatable--with-a-stream-of-its-own"

    def __init__(self, params=None):
        super().__init__(params)
        self.stream = torch.Generator().manual_seed(1)

    def losses(self, logits, batch):
        return super().losses(logits, batch) * torch.rand((), generator=self.stream)


class ChangingThreads(CrossEntropy):
    name = "settings--threads"

    def losses(self, logits, batch):
        torch.set_num_threads(2)
        return super().losses(logits, batch)


class SilencingNumpy(CrossEntropy):
    name = "settings--numpy"

    def probs(self, logits):
        np.seterr(all="ignore")
        return super().probs(logits)


class ScalingInPlace(CrossEntropy):
    name = "mutation--scaling-in-place"

    def losses(self, logits, batch):
        return super().losses(logits.mul_(0.5), batch)


class ClampingCountsInPlace(CrossEntropy):
    """Changes ordinary counts the first time only."""

    name = "mutation--clamping-counts-in-place"

    def losses(self, logits, batch):
        batch.class_counts.clamp_(min=1, max=4)
        return super().losses(logits, batch)


class ShiftingInPlace(CrossEntropy):
    name = "mutation--shifting-in-place"

    def probs(self, logits):
        logits -= logits.max(axis=1, keepdims=True)
        return super().probs(logits)


class NormalisedByTheBatch(CrossEntropy):
    name = "samples--normalised-by-the-batch"

    def losses(self, logits, batch):
        losses = super().losses(logits, batch)
        return losses / losses.detach().mean(-1, keepdim=True).clamp(min=0.1)


class LookingBack(CrossEntropy):
    name = "samples--looking-back"

    def losses(self, logits, batch):
        losses = super().losses(logits, batch)
        return losses + 0.5 * losses.cumsum(-1) / torch.arange(1, losses.shape[-1] + 1)


class BalancedWithinTheBatch(CrossEntropy):
    name = "samples--balanced-within-the-batch"

    def losses(self, logits, batch):
        classes = torch.nn.functional.one_hot(batch.labels, logits.shape[-1]).to(logits.dtype)
        weight = (classes / classes.sum(-2, keepdim=True).clamp(min=1)).sum(-1)
        return super().losses(logits, batch) * weight


class SummedOverClients(CrossEntropy):
    """The sum of the counts has no axis, so it is that of all clients."""

    name = "lanes--summed-over-clients"

    def losses(self, logits, batch):
        prior = batch.class_counts.clamp(min=1) / batch.class_counts.sum()
        return super().losses(logits + prior.unsqueeze(-2), batch) * batch.class_counts.sum() / 100


class LookingAtTheFirstRound(CrossEntropy):
    name = "lanes--looking-at-the-first-round"

    def losses(self, logits, batch):
        first = batch.round.reshape(-1)[0]
        return super().losses(logits, batch) * (1 + first)


class Squeezing(CrossEntropy):
    name = "single-sample--squeezing"

    def losses(self, logits, batch):
        return super().losses(logits, batch).squeeze()


class WeightedByRarity(CrossEntropy):
    name = "absent-class--weighted-by-rarity"

    def losses(self, logits, batch):
        weights = 1 / batch.class_counts
        weights = weights / weights.sum(-1, keepdim=True)
        return weights.gather(-1, batch.labels) * super().losses(logits, batch)


class MeanOfMixtures(Kcfu):
    name = "mixtures--mean"

    def mixed_losses(self, logits, batch):
        return super().mixed_losses(logits, batch).mean()


class NormalisedMixtures(Kcfu):
    name = "mixtures--normalised"

    def mixed_losses(self, logits, batch):
        losses = super().mixed_losses(logits, batch)
        return losses / (1 + losses.detach().mean(-1, keepdim=True))


class MixingClients(Kcfu):
    name = "mixtures--mixing-clients"

    def mixed_losses(self, logits, batch):
        return super().mixed_losses(logits, batch) * batch.class_counts.sum()


class UndefinedMixtures(Kcfu):
    name = "mixtures--undefined"

    def mixed_losses(self, logits, batch):
        return super().mixed_losses(logits, batch) / (batch.round - batch.round).unsqueeze(-1)


class Unnormalised(CrossEntropy):
    name = "probs--unnormalised"

    def probs(self, logits):
        return 1 / (1 + np.exp(-np.clip(logits, -50, 50)))


class Negative(CrossEntropy):
    name = "probs--negative"

    def probs(self, logits):
        return logits / logits.sum(axis=1, keepdims=True)


class OverABatch(CrossEntropy):
    name = "probs--over-a-batch"

    def probs(self, logits):
        return super().probs(logits - logits.mean(axis=0))


class RaisingInProbs(CrossEntropy):
    name = "probs--raising"

    def probs(self, logits):
        raise RuntimeError("no idea")


class Exploding(CrossEntropy):
    name = "training--exploding"

    def losses(self, logits, batch):
        return 1e20 * super().losses(logits, batch)
