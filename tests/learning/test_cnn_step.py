"""The pieces of the hand-written convolutional step against PyTorch's own operations."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import fold, max_pool2d, relu, unfold

from fal_bench.learning.model import Architecture
from fal_bench.learning.network import Network, fresh_weights
from fal_bench.learning.request import Lane
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.autograd import AutogradStep
from fal_bench.learning.stacked.cnn import CnnStep
from fal_bench.learning.stacked.engine import step_of, train_stacked
from fal_bench.learning.stacked.matrices import MatrixState
from fal_bench.learning.stacked.pooling import RectifiedPool
from fal_bench.learning.stacked.windows import LayerWindows, SampleWindows
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

RECIPE = LocalTraining(3, 10, 0.05, 0.9, 1e-3, None)
SIZES = [(8, 8), (5, 7), (2, 3), (6, 2)]


def whole(count, *shape, seed=0):
    """Random small integers in float: sums are exact, and equal values are frequent."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, (count, *shape), generator=generator).float()


def by_pool_order(images):
    """Images (n, C, H, W) as (n, 2, 2 * h, w, C): even columns, then odd ones."""
    height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
    inner = images[:, :, :height, :width].permute(0, 2, 3, 1)
    return torch.stack([inner[:, :, 0::2], inner[:, :, 1::2]], 1)


def windows(images):
    """Every window that pooling uses, shape (n, windows, 9 * C), by PyTorch's unfold."""
    count, channels, height, width = images.shape
    columns = unfold(images, 3, padding=1).view(count, channels, 9, height, width)
    columns = columns.permute(0, 2, 1, 3, 4).reshape(count, 9 * channels, height, width)
    return by_pool_order(columns).reshape(count, -1, 9 * channels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_windows_of_samples(size, channels):
    images = whole(6, channels, *size)
    expected = windows(images)[[4, 0, 4]]
    length = 9 * channels
    rows = torch.full((*expected.shape[:2], length + 1 + (length + 1) % 2), torch.nan)
    SampleWindows(images).gather(torch.tensor([4, 0, 4]), rows)
    assert torch.equal(rows[..., :length], expected)
    assert torch.equal(rows[..., length], torch.ones(expected.shape[:2]))
    assert not rows[..., length + 1 :].any()


@pytest.mark.parametrize("size", SIZES)
def test_the_windows_of_a_layer_and_the_way_back(size):
    images = whole(6, 4, *size)
    padded = torch.zeros(6, size[0] + 2, size[1] + 2, 4)
    layer = LayerWindows(padded, 3)
    padded[:, 1:-1, 1:-1] = images.permute(0, 2, 3, 1)
    layer.unfold()
    expected = windows(images)
    assert torch.equal(layer.rows[..., :36], expected.view(3, -1, 36))
    assert torch.equal(layer.rows[..., 36:].unique(), torch.tensor([0.0, 1.0]))

    inner = (size[0] // 2 * 2, size[1] // 2 * 2)
    gradients = whole(6, 36, *inner, seed=1)
    layer.gradients.copy_(by_pool_order(gradients).reshape(layer.gradients.shape))
    layer.fold()
    columns = gradients.view(6, 9, 4, -1).transpose(1, 2).reshape(6, 36, -1)
    # Windows lie on the inner pixels; images reach one pixel further where a size is odd.
    around = fold(columns, (inner[0] + 2, inner[1] + 2), 3)
    reach = tuple(min(have, inside + 1) for have, inside in zip(size, inner, strict=True))
    expected = torch.zeros(6, 4, *size)
    expected[:, :, : reach[0], : reach[1]] = around[:, :, 1 : 1 + reach[0], 1 : 1 + reach[1]]
    assert torch.equal(layer.folded.permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize("size", [(2, 2), (8, 4)])
def test_pooling_is_pytorchs_also_where_pixels_are_equal(size):
    images = whole(5, 3, *size).requires_grad_()
    reference = max_pool2d(relu(images), 2)
    gradient = whole(*reference.shape, seed=1)
    reference.backward(gradient)
    pixels = by_pool_order(images.detach()).contiguous()
    pooled = torch.full((5, size[0] // 2, size[1] // 2, 3), torch.nan)
    pool = RectifiedPool(pixels, pooled)
    pool.forward()
    assert torch.equal(pooled.permute(0, 3, 1, 2), reference.detach())
    pool.backward(gradient.permute(0, 2, 3, 1))
    # ReLU is 0 for the whole run or not in the way, so the order of the two is free.
    assert torch.equal(pixels, by_pool_order(images.grad))


def test_weights_come_back_as_they_went_in():
    architecture = Architecture(ModelSpec(kind="cnn", channels=(3, 4, 6)), (2, 9, 17), 5)
    state = MatrixState(architecture.network, RECIPE, 3)
    weights = architecture.fresh(torch.Generator().manual_seed(0)).weights
    state.load(1, weights)
    back = state.read(1)
    assert list(back) == list(weights)
    for name, tensor in weights.items():
        assert torch.equal(back[name], tensor)
        assert back[name].is_contiguous()
    state.load(1, architecture.fresh(torch.Generator().manual_seed(1)).weights)
    assert torch.equal(back["head.weight"], weights["head.weight"])


def test_real_digits_whose_blank_regions_tie():
    data = load_digits()
    features = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(data.target)
    architecture = Architecture(ModelSpec(kind="cnn", channels=(16, 32)), (1, 8, 8), 10)

    def lanes():
        return [
            Lane(
                architecture.fresh(torch.Generator().manual_seed(number)).weights,
                features[50 * number : 50 * number + size],
                labels[50 * number : 50 * number + size],
                np.random.default_rng(number),
            )
            for number, size in enumerate([50, 23, 7, 50])
        ]

    stacked = train_stacked(architecture.network, RECIPE, lanes(), 10)
    plain = train_sequentially(architecture.network, RECIPE, lanes(), 10)
    for ours, theirs in zip(stacked, plain, strict=True):
        for name, tensor in ours.weights.items():
            torch.testing.assert_close(tensor, theirs.weights[name], rtol=1e-5, atol=1e-5)


def convolution(**options):
    return nn.Conv2d(1, 4, **{"kernel_size": 3, "padding": 1, **options})


OTHERS = {
    "large kernel": ([convolution(kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2)], 64),
    "no padding": ([convolution(padding=0), nn.ReLU(), nn.MaxPool2d(2)], 36),
    "no pooling": ([convolution(), nn.ReLU()], 256),
    "no ReLU": ([convolution(), nn.MaxPool2d(2)], 64),
    "normalised": ([convolution(), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)], 64),
}


@pytest.mark.parametrize(("body", "size"), OTHERS.values(), ids=OTHERS)
def test_other_networks_keep_the_general_step(body, size):
    network = Network(nn.Sequential(*copy.deepcopy(body), nn.Flatten()), size, 5)
    assert CnnStep.of(network, RECIPE) is None
    assert isinstance(step_of(network, RECIPE), AutogradStep)

    def lanes():
        generator = torch.Generator().manual_seed(0)
        return [
            Lane(
                fresh_weights(network, generator),
                torch.randn(count, 1, 8, 8, generator=generator),
                torch.randint(5, (count,), generator=generator),
                np.random.default_rng(count),
            )
            for count in (12, 20, 7)
        ]

    stacked = train_stacked(network, RECIPE, lanes(), 5)
    plain = train_sequentially(network, RECIPE, lanes(), 5)
    for ours, theirs in zip(stacked, plain, strict=True):
        for name, tensor in ours.weights.items():
            torch.testing.assert_close(tensor, theirs.weights[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        [convolution(stride=2), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(dilation=2), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(bias=False), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(padding_mode="reflect"), nn.ReLU(), nn.MaxPool2d(2)],
        [convolution(), nn.ReLU(), nn.MaxPool2d(3)],
        [convolution(), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)],
    ],
)
def test_unusual_options_are_not_taken_for_the_usual_ones(body):
    network = Network(nn.Sequential(*body, nn.Flatten()), 64, 5)
    assert CnnStep.of(network, RECIPE) is None
