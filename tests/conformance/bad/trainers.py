"""Trainers that each fail the check that their name begins with, before ``--``, and no other."""

import time
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from fal_bench import Params, Trainer
from fal_bench.trainers.cross_entropy import CrossEntropy
from fal_bench.trainers.kcfu import Kcfu


def changed(name, method="losses", base=CrossEntropy):
    """Make a trainer of a function that gets the method that it replaces, and its arguments."""

    def make(function):
        def own(self, *given):
            return function(partial(getattr(base, method), self), *given)

        return type(name, (base,), {"name": name, method: own, "__module__": __name__})

    return make


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


@changed("losses--mean")
def mean(plain, logits, batch):
    return plain(logits, batch).mean()


@changed("losses--raising")
def raising(plain, logits, batch):
    raise RuntimeError("no idea")


@changed("losses--hanging")
def hanging(plain, logits, batch):
    time.sleep(3)


@changed("losses--for-many-lanes-only")
def for_many_lanes_only(plain, logits, batch):
    _, _, _ = logits.shape
    return plain(logits, batch)


@changed("losses--whole-numbers")
def whole_numbers(plain, logits, batch):
    return (logits.argmax(-1) != batch.labels).long()


@changed("finite--logarithm-of-a-softmax")
def logarithm_of_a_softmax(plain, logits, batch):
    return -logits.softmax(-1).log().gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)


@changed("finite--root-of-a-loss")
def root_of_a_loss(plain, logits, batch):
    """Its losses are finite; where they are 0, the gradient of their root is not."""
    return plain(logits, batch).sqrt()


@changed("gradients--cut-off")
def cut_off(plain, logits, batch):
    return plain(logits.detach(), batch)


@changed("gradients--constant")
def constant(plain, logits, batch):
    return plain(0 * logits, batch)


@changed("global-random--noisy")
def noisy(plain, logits, batch):
    return plain(logits + torch.randn_like(logits), batch)


@changed("global-random--seeding")
def seeding(plain, logits, batch):
    torch.manual_seed(3)
    return plain(logits, batch)


@changed("global-random--drawing-in-probs", "probs")
def drawing_in_probs(plain, logits):
    np.random.rand()  # noqa: NPY002
    return plain(logits)


@changed("global-random--drawing-for-mixtures", "mixed_losses", Kcfu)
def drawing_for_mixtures(plain, logits, batch):
    return plain(logits, batch) * torch.rand(())


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


@changed("settings--threads")
def changing_threads(plain, logits, batch):
    torch.set_num_threads(2)
    return plain(logits, batch)


@changed("settings--numpy", "probs")
def silencing_numpy(plain, logits):
    np.seterr(all="ignore")
    return plain(logits)


@changed("mutation--scaling-in-place")
def scaling_in_place(plain, logits, batch):
    return plain(logits.mul_(0.5), batch)


@changed("mutation--clamping-counts-in-place")
def clamping_counts_in_place(plain, logits, batch):
    """Changes ordinary counts the first time only."""
    batch.class_counts.clamp_(min=1, max=4)
    return plain(logits, batch)


@changed("mutation--shifting-in-place", "probs")
def shifting_in_place(plain, logits):
    logits -= logits.max(axis=1, keepdims=True)
    return plain(logits)


@changed("samples--normalised-by-the-batch")
def normalised_by_the_batch(plain, logits, batch):
    losses = plain(logits, batch)
    return losses / losses.detach().mean(-1, keepdim=True).clamp(min=0.1)


@changed("samples--looking-back")
def looking_back(plain, logits, batch):
    losses = plain(logits, batch)
    return losses + 0.5 * losses.cumsum(-1) / torch.arange(1, losses.shape[-1] + 1)


@changed("samples--balanced-within-the-batch")
def balanced_within_the_batch(plain, logits, batch):
    classes = torch.nn.functional.one_hot(batch.labels, logits.shape[-1]).to(logits.dtype)
    weight = (classes / classes.sum(-2, keepdim=True).clamp(min=1)).sum(-1)
    return plain(logits, batch) * weight


@changed("lanes--summed-over-clients")
def summed_over_clients(plain, logits, batch):
    """The sum of the counts has no axis, so it is that of all clients."""
    prior = batch.class_counts.clamp(min=1) / batch.class_counts.sum()
    return plain(logits + prior.unsqueeze(-2), batch) * batch.class_counts.sum() / 100


@changed("lanes--looking-at-the-first-round")
def looking_at_the_first_round(plain, logits, batch):
    first = batch.round.reshape(-1)[0]
    return plain(logits, batch) * (1 + first)


@changed("single-sample--squeezing")
def squeezing(plain, logits, batch):
    return plain(logits, batch).squeeze()


@changed("absent-class--weighted-by-rarity")
def weighted_by_rarity(plain, logits, batch):
    weights = 1 / batch.class_counts
    weights = weights / weights.sum(-1, keepdim=True)
    return weights.gather(-1, batch.labels) * plain(logits, batch)


@changed("mixtures--mean", "mixed_losses", Kcfu)
def mean_of_mixtures(plain, logits, batch):
    return plain(logits, batch).mean()


@changed("mixtures--normalised", "mixed_losses", Kcfu)
def normalised_mixtures(plain, logits, batch):
    losses = plain(logits, batch)
    return losses / (1 + losses.detach().mean(-1, keepdim=True))


@changed("mixtures--mixing-clients", "mixed_losses", Kcfu)
def mixing_clients(plain, logits, batch):
    return plain(logits, batch) * batch.class_counts.sum()


@changed("mixtures--undefined", "mixed_losses", Kcfu)
def undefined_mixtures(plain, logits, batch):
    return plain(logits, batch) / (batch.round - batch.round).unsqueeze(-1)


@changed("probs--unnormalised", "probs")
def unnormalised(plain, logits):
    return 1 / (1 + np.exp(-np.clip(logits, -50, 50)))


@changed("probs--negative", "probs")
def negative(plain, logits):
    return logits / logits.sum(axis=1, keepdims=True)


@changed("probs--over-a-batch", "probs")
def over_a_batch(plain, logits):
    return plain(logits - logits.mean(axis=0))


@changed("probs--raising", "probs")
def raising_in_probs(plain, logits):
    raise RuntimeError("no idea")


@changed("training--exploding")
def exploding(plain, logits, batch):
    return 1e20 * plain(logits, batch)
