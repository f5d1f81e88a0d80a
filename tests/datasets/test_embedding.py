import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from fal_bench.data.base import Normalisation
from fal_bench.datasets import _embedding as embedding
from fal_bench.datasets._embedding import IMAGENET, embed_images, for_imagenet, standardised
from fal_bench.learning.model import Architecture
from fal_bench.task import ModelSpec

SIZE = 33
ARCHITECTURE = Architecture(ModelSpec(kind="resnet18", stem="imagenet"), (3, SIZE, SIZE), 4)


def pixels(count=5, channels=3, side=20):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, side, side, generator=generator)


def network():
    return ARCHITECTURE.fresh(torch.Generator().manual_seed(0)).module()


def theirs(images):
    """What torchvision's own transforms make of pixels."""
    steps = v2.Compose(
        [
            v2.Resize((SIZE, SIZE), antialias=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return steps(images.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [20, SIZE, 70])
def test_images_arrive_as_the_network_was_trained(channels, side):
    images = pixels(channels=channels, side=side)
    torch.testing.assert_close(for_imagenet(images, None, SIZE), theirs(images))
    how = Normalisation((0.3,) * channels, (0.2,) * channels)
    torch.testing.assert_close(
        for_imagenet((images - 0.3) / 0.2, how, SIZE), theirs(images), atol=1e-5, rtol=1e-5
    )


def test_imagenets_own_normalisation_comes_back():
    shape = (3, 1, 1)
    mean, deviation = (torch.tensor(value).view(shape) for value in vars(IMAGENET).values())
    ready = (pixels(side=SIZE) - mean) / deviation
    torch.testing.assert_close(for_imagenet(ready, IMAGENET, SIZE), ready)


@pytest.mark.parametrize("cores", [1, 3])
def test_embeddings_are_the_networks_on_any_number_of_cores(monkeypatch, cores):
    monkeypatch.setattr(embedding.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(embedding, "BATCH_SIZE", 2)
    before = torch.get_num_threads()
    ours = embed_images(network(), pixels(), None, SIZE)
    assert torch.get_num_threads() == before
    evaluated = network().eval()
    with torch.inference_mode():
        images = theirs(pixels())
        expected = torch.cat([evaluated.body(batch) for batch in images.split(2)])
    assert ours.shape == (5, 512)
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(embedding.os, "cpu_count", lambda: 2)
    np.testing.assert_array_equal(embed_images(network(), pixels(), None, SIZE), ours)


def test_each_number_is_standard_over_the_training_samples():
    rng = np.random.default_rng(0)
    train = rng.normal(3, 2, (50, 4)).astype(np.float32)
    train[:, 2] = 0.1
    test = rng.normal(3, 2, (9, 4)).astype(np.float32)
    ours, others = standardised(train, test)
    moving = [0, 1, 3]
    np.testing.assert_allclose(ours[:, moving].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(ours[:, moving].std(0), 1, atol=1e-6)
    np.testing.assert_allclose(ours[:, 2], 0, atol=1e-6)
    assert np.abs(others).max() < 10
    expected = (test - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(others[:, moving], expected[:, moving], rtol=1e-4)
