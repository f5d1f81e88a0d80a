"""Models that each fail the check that their name begins with, before ``--``, and no other."""

import math
import time
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from fal_bench import model
from fal_bench.errors import InvalidSpecError

WIDTH = 6


class Net(nn.Module):
    """Two linear layers with something in front of them and between them."""

    def __init__(self, input_shape, n_classes, front=None, between=None):
        super().__init__()
        first = nn.Linear(math.prod(input_shape), WIDTH)
        self.body = nn.Sequential(
            front or nn.Identity(), nn.Flatten(), first, nn.ReLU(), between or nn.Identity()
        )
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, samples):
        return self.head(self.body(samples))


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, samples):
        return self.function(self, samples)


def between(function):
    return Lambda(lambda self, embeddings: function(embeddings))


@model
def params__bad_default(input_shape, n_classes, width: Annotated[int, Field(ge=1)] = 0):
    return Net(input_shape, n_classes)


@model
def params__no_default(input_shape, n_classes, width: int):
    return Net(input_shape, n_classes)


@model
def builds__without_a_head(input_shape, n_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), n_classes))


@model
def builds__ten_classes(input_shape, n_classes):
    return Net(input_shape, 10)


@model
def builds__nothing(input_shape, n_classes):
    return None


@model
def builds__raising(input_shape, n_classes):
    raise KeyError(n_classes)


@model
def builds__for_large_images(input_shape, n_classes):
    raise InvalidSpecError("The images must be of 224x224.")


@model
def builds__hanging(input_shape, n_classes):
    time.sleep(3)


@model
def logits__undefined(input_shape, n_classes):
    return Net(input_shape, n_classes, between=between(lambda embeddings: embeddings.log()))


@model
def global_random__numpy(input_shape, n_classes):
    net = Net(input_shape, n_classes)
    net.head.weight.data.mul_(np.random.rand())  # noqa: NPY002
    return net


@model
def global_random__seeding(input_shape, n_classes):
    torch.manual_seed(0)
    return Net(input_shape, n_classes)


@model
def global_random__drawing_in_eval_mode(input_shape, n_classes):
    def draw(embeddings):
        return embeddings + 0 * torch.randn_like(embeddings)

    return Net(input_shape, n_classes, between=between(draw))


@model
def settings__threads(input_shape, n_classes):
    torch.set_num_threads(2)
    return Net(input_shape, n_classes)


@model
def repeatable__fresh_generator(input_shape, n_classes):
    net = Net(input_shape, n_classes)
    net.head.weight.data.mul_(np.random.default_rng().random())
    return net


@model
def repeatable__warming_up(input_shape, n_classes):
    def warm_up(self, embeddings):
        self.calls = getattr(self, "calls", 0) + 1
        return embeddings if self.calls < 4 else 2 * embeddings

    return Net(input_shape, n_classes, between=Lambda(warm_up))


@model
def mutation__in_place(input_shape, n_classes):
    return Net(input_shape, n_classes, front=nn.ReLU(inplace=True))


@model
def rows__centred(input_shape, n_classes):
    centred = between(lambda embeddings: embeddings - 0.5 * embeddings[-1:].detach())
    return Net(input_shape, n_classes, between=centred)


@model
def single_sample__squeezing(input_shape, n_classes):
    return Net(input_shape, n_classes, between=between(lambda embeddings: embeddings.squeeze()))


@model
def gradients__unused_layer(input_shape, n_classes):
    net = Net(input_shape, n_classes)
    net.unused = nn.Linear(2, 2)
    return net


@model
def gradients__frozen(input_shape, n_classes):
    net = Net(input_shape, n_classes)
    net.body[2].weight.requires_grad_(False)
    return net


@model
def training__exploding(input_shape, n_classes):
    net = Net(input_shape, n_classes)
    net.head.weight.data.mul_(1e25)
    return net


@model
def training__counting(input_shape, n_classes):
    def count(self, embeddings):
        if self.training:
            self.calls = getattr(self, "calls", 0) + 1
            return embeddings / self.calls
        return embeddings

    return Net(input_shape, n_classes, between=Lambda(count))


@model
def training__dead(input_shape, n_classes):
    """Its activations are all 0."""
    net = Net(input_shape, n_classes)
    net.body[2].bias.data.fill_(-1e3)
    return net
