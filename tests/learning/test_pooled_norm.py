"""Pooling first: the network's own values, gradients and running statistics."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from fal_bench.learning.kernels.pooled_norm import PoolingFirst
from fal_bench.learning.model import Architecture
from fal_bench.task import ModelSpec

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch):
    """PyTorch has these four on a GPU alone; here they are written out."""

    def wide(channels):
        return channels.view(1, -1, 1, 1)

    def stats(pixels, eps):
        variance, mean = torch.var_mean(pixels, dim=(0, 2, 3), correction=0)
        return mean, torch.rsqrt(variance + eps)

    def elemt(pixels, weight, bias, mean, inverse, eps):
        assert eps == 0
        return (pixels - wide(mean)) * wide(inverse) * wide(weight) + wide(bias)

    def reduce(gradient, pixels, mean, inverse, weight, *wanted):
        total = gradient.sum((0, 2, 3))
        slanted = (gradient * (pixels - wide(mean))).sum((0, 2, 3))
        return total, slanted, slanted * inverse, total

    def backward(gradient, pixels, mean, inverse, weight, total, slanted, count):
        along = (pixels - wide(mean)) * wide(inverse.square() * slanted / count)
        return (gradient - wide(total / count) - along) * wide(inverse * weight)

    if not torch.cuda.is_available():
        monkeypatch.setattr(torch, "batch_norm_stats", stats)
        monkeypatch.setattr(torch, "batch_norm_elemt", elemt)
        monkeypatch.setattr(torch, "batch_norm_backward_reduce", reduce)
        monkeypatch.setattr(torch, "batch_norm_backward_elemt", backward)


@pytest.mark.parametrize("size", [(16, 16), (17, 21), (32, 32)])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_it_is_the_network(size, dropout):
    spec = ModelSpec(kind="cnn4", width=5, dropout=dropout)
    network = Architecture(spec, (2, *size), 3).build().double().train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():  # scales of both signs
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    images = torch.randn(7, 2, *size, generator=generator, dtype=torch.float64)
    images = images.to(DEVICE, memory_format=torch.channels_last)
    network.to(DEVICE)
    labels = torch.randint(3, (7,), generator=generator).to(DEVICE)
    if network.dropout is not None:
        mask = torch.rand(7, network.dropout.width, generator=generator)
        network.dropout.mask = mask.double().to(DEVICE)
    twin = copy.deepcopy(network)
    forward = PoolingFirst.of(twin)
    results = []
    for one, call in ((network, network), (twin, forward)):
        logits = call(images)
        gradients = torch.autograd.grad(cross_entropy(logits, labels), list(one.parameters()),
                                        allow_unused=True)  # fmt: skip
        named = dict(zip(dict(one.named_parameters()), gradients, strict=True))
        results.append((logits, named, dict(one.named_buffers())))
    (logits, gradients, buffers), (ours, of_ours, own_buffers) = results
    torch.testing.assert_close(ours, logits)
    for name, gradient in gradients.items():
        if of_ours[name] is None:  # the bias of a convolution, which normalisation takes away
            assert float(gradient.abs().max()) < 1e-12
            continue
        torch.testing.assert_close(of_ours[name], gradient)
    for name, buffer in buffers.items():
        torch.testing.assert_close(own_buffers[name], buffer)


def test_other_networks_have_none():
    for spec in (ModelSpec(kind="cnn", channels=(4, 6)), ModelSpec(kind="mlp", hidden=(4,))):
        assert PoolingFirst.of(Architecture(spec, (1, 8, 8), 3).build()) is None
    assert PoolingFirst.of(Architecture(ModelSpec(kind="resnet18"), (3, 9, 12), 5).build()) is None
