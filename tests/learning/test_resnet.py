"""ResNet-18: torchvision's network, our initialisation, the usual training."""

import hashlib
import io
import math
import types
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torchvision.models
from torch.nn.functional import cross_entropy

from fal_bench.data.base import Dataset
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.learning.device import full_precision
from fal_bench.learning.engine import engine_of, train
from fal_bench.learning.graphed import train_graphed
from fal_bench.learning.inference import _folded, predict
from fal_bench.learning.model import Architecture, Model
from fal_bench.learning.request import Lane, TrainRequest, batches
from fal_bench.learning.sequential import train_sequentially
from fal_bench.models import resnet18
from fal_bench.plugins.aggregation import average
from fal_bench.plugins.needs import LocalTraining
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.task import ModelSpec

CIFAR = Architecture(ModelSpec(kind="resnet18"), (3, 9, 12), 5)
BATCHES = "body.bn1.num_batches_tracked"
IMAGENET = Architecture(ModelSpec(kind="resnet18", stem="imagenet"), (3, 33, 40), 5)


@pytest.fixture(params=[CIFAR, IMAGENET], ids=["cifar", "imagenet"])
def architecture(request):
    return request.param


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(architecture, count, seed=0):
    return torch.randn(count, *architecture.input_shape, generator=generator(seed))


def body_of(weights):
    return {
        name.removeprefix("body."): tensor
        for name, tensor in weights.items()
        if name.startswith("body.")
    }


def test_it_is_torchvisions():
    model = IMAGENET.fresh(generator())
    theirs = torchvision.models.resnet18()
    theirs.fc = torch.nn.Identity()
    theirs.load_state_dict(body_of(model.weights))
    theirs.train()
    ours = model.module().train()
    features = images(IMAGENET, 4)
    torch.testing.assert_close(ours.body(features), theirs(features))
    theirs.eval()
    ours.eval()
    torch.testing.assert_close(ours.body(features), theirs(features))


def test_the_cifar_stem_keeps_small_images_large():
    theirs = torchvision.models.resnet18()
    theirs.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = theirs.fc = torch.nn.Identity()
    model = CIFAR.fresh(generator())
    theirs.load_state_dict(body_of(model.weights))
    features = images(CIFAR, 4)
    torch.testing.assert_close(model.module().train().body(features), theirs.train()(features))


def test_initial_weights_are_drawn_from_the_stream_alone(architecture, same_bits):
    before = torch.random.get_rng_state()
    one, same, other = (architecture.fresh(generator(seed)).weights for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.keys() == architecture.network.state_dict().keys()
    same_bits(one, same)
    for name, tensor in one.items():
        if name.endswith(("conv1.weight", "head.bias")):
            assert not torch.equal(tensor, other[name])


def test_initial_weights_follow_he_and_the_identity(architecture):
    weights = architecture.fresh(generator()).weights
    for name, tensor in weights.items():
        if tensor.ndim == 4:
            expected = math.sqrt(2 / (tensor.shape[0] * tensor.shape[2] * tensor.shape[3]))
            assert tensor.std().item() == pytest.approx(expected, rel=0.05)
            assert abs(tensor.mean().item()) < 0.1 * expected
        elif name.endswith("num_batches_tracked"):
            assert tensor.dtype == torch.int64
            assert tensor.item() == 0
        elif name.endswith(("running_mean", "bn1.bias")):
            assert (tensor == 0).all()
        elif name.endswith(("running_var", "bn1.weight")):
            assert (tensor == 1).all()


def lane(architecture, count, seed=0):
    labels = torch.arange(count) % 5
    start = architecture.fresh(generator(seed)).weights
    return Lane(start, images(architecture, count, seed), labels, np.random.default_rng(seed))


def test_its_training_is_sgd_and_moves_the_running_statistics():
    recipe = LocalTraining(2, 4, 0.05, 0.9, 1e-4, None)
    job = lane(CIFAR, 9)  # three batches of three images
    [trained] = train([TrainRequest(CIFAR, recipe, (job,))])
    network = Model(CIFAR, job.start).module().train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for chosen in batches(9, 4, rng):
            optimiser.zero_grad()
            cross_entropy(network(job.features[chosen]), job.labels[chosen]).backward()
            optimiser.step()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(trained.weights[0][name], tensor, atol=2e-4, rtol=2e-3)
    assert trained.weights[0][BATCHES] == 6
    assert engine_of(CIFAR) == "sequential"


def test_federated_averaging_takes_the_running_statistics_too():
    recipe = LocalTraining(1, 4, 0.05, 0.0, 0.0, None)
    lanes = (lane(CIFAR, 8, 0), lane(CIFAR, 4, 1))
    [trained] = train([TrainRequest(CIFAR, recipe, lanes)])
    averaged = average(trained.weights, np.array([3, 1]))
    for name in ("body.layer4.1.bn2.running_var", "body.bn1.running_mean", "body.conv1.weight"):
        one, other = (weights[name] for weights in trained.weights)
        torch.testing.assert_close(averaged[name], 0.75 * one + 0.25 * other)
    assert averaged[BATCHES].dtype == torch.int64


def test_predictions_are_the_networks_after_training(architecture):
    recipe = LocalTraining(1, 4, 0.05, 0.0, 0.0, None)
    [trained] = train([TrainRequest(architecture, recipe, (lane(architecture, 8),))])
    model = Model(architecture, trained.weights[0])
    outputs = predict(model, images(architecture, 5))
    network = model.module().eval()
    with torch.no_grad():
        embeddings = network.body(images(architecture, 5))
        np.testing.assert_allclose(outputs.embeddings, embeddings, atol=2e-5, rtol=1e-4)
        np.testing.assert_allclose(outputs.logits, network.head(embeddings), atol=2e-5, rtol=1e-4)


def test_its_network_for_predictions_stays_on_its_device():
    network, pairs = _folded(replace(CIFAR, device="meta"))
    assert len(pairs) == 20
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device")
def test_a_gpu_trains_and_predicts_as_the_processor_does():
    recipe = LocalTraining(1, 4, 0.05, 0.0, 0.0, None)
    there = partial(train_graphed, numbers="float32")
    outputs = []
    for where, engine in (("cpu", train_sequentially), ("cuda", there)):
        architecture = replace(CIFAR, device=where)
        job = lane(architecture, 8)
        with full_precision():
            [trained] = engine(architecture.network, recipe, [job], CIFAR.n_classes)
            model = Model(architecture, trained.weights)
            outputs.append(predict(model, images(CIFAR, 5)).logits)
    np.testing.assert_allclose(*outputs, rtol=1e-2, atol=1e-2)


def test_a_federation_trains_it(tiny, run):
    labels = torch.arange(40) % 4
    features = torch.randn(40, 1, 9, 9, generator=generator()) + labels.view(-1, 1, 1, 1)
    dataset = Dataset("shades", features, labels, features[:20], labels[:20], 4)
    changes = {"model": ModelSpec(kind="resnet18"), "clients": 2, "rounds": 1, "budget_cap": 12}
    rows = run(tiny.model_copy(update=changes), FalMargin, dataset).rows
    assert [row.labels for row in rows] == [8, 12, 16]


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ({}, (3, 8, 40), "9x9, not 8x40; use the cnn"),
        ({"stem": "imagenet"}, (3, 40, 32), "33x33, not 40x32; use stem = 'cifar'"),
        ({"stem": "imagenet"}, (1, 8, 8), "33x33, not 8x8; use the cnn"),
        ({"weights": "imagenet"}, (4, 9, 9), "1 or 3 channels, not 4"),
    ],
)
def test_images_that_do_not_fit_are_refused(spec, shape, message):
    with pytest.raises(InvalidSpecError, match=message):
        _ = Architecture(ModelSpec(kind="resnet18", **spec), shape, 5).network


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A file of weights under ImageNet's name: its URL is made up, and PyTorch's folder is new."""
    network = torchvision.models.resnet18()
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    content = file.getvalue()
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def at(site):
        entry = types.SimpleNamespace(url=f"{site}/{name}")
        fake = types.SimpleNamespace(IMAGENET1K_V1=entry)
        monkeypatch.setattr(torchvision.models, "ResNet18_Weights", fake)
        resnet18._published.cache_clear()

    at("http://127.0.0.1:1")
    yield types.SimpleNamespace(
        content=content,
        state=network.state_dict(),
        path=tmp_path / "torch" / "hub" / "checkpoints" / name,
        at=at,
    )
    resnet18._published.cache_clear()


@pytest.fixture
def in_place(published):
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(published.content)
    return published


def started(stem, channels, side=40):
    spec = ModelSpec(kind="resnet18", stem=stem, weights="imagenet")
    return Architecture(spec, (channels, side, side), 5)


def test_training_starts_from_the_published_body_and_a_drawn_head(in_place):
    weights = started("imagenet", 3).fresh(generator()).weights
    for name, tensor in body_of(weights).items():
        assert torch.equal(tensor, in_place.state[name])
    drawn = IMAGENET.fresh(generator()).weights
    assert torch.equal(weights["head.weight"], drawn["head.weight"])


def test_the_cifar_stem_draws_its_first_convolution(in_place):
    weights = started("cifar", 3).fresh(generator()).weights
    drawn = CIFAR.fresh(generator()).weights
    assert torch.equal(weights["body.conv1.weight"], drawn["body.conv1.weight"])
    second = "layer1.0.conv1.weight"
    assert torch.equal(weights[f"body.{second}"], in_place.state[second])


def test_grey_images_are_seen_as_three_equal_channels(in_place):
    grey = started("imagenet", 1).fresh(generator())
    colour = started("imagenet", 3).fresh(generator())
    samples = torch.randn(3, 1, 40, 40, generator=generator())
    ours = predict(grey, samples).embeddings
    theirs = predict(colour, samples.expand(3, 3, 40, 40)).embeddings
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-4)


def test_offline_the_file_and_its_place_are_named(published):
    with pytest.raises(DataError) as caught:
        started("imagenet", 3).fresh(generator())
    message = str(caught.value)
    assert repr(published.path.name) in message
    assert f"'{published.path.parent}'" in message
    assert "weights to none" in message
    assert not list(published.path.parent.iterdir())


@pytest.mark.parametrize("cut", [0, 100])
def test_the_file_is_downloaded_whole_or_not_at_all(published, server, cut):
    server.files[published.path.name] = published.content[cut:]
    published.at(server.url.rstrip("/"))
    if cut:
        with pytest.raises(DataError, match="hash"):
            started("imagenet", 3).fresh(generator())
        assert not list(published.path.parent.iterdir())
    else:
        started("imagenet", 3).fresh(generator())
        assert published.path.read_bytes() == published.content


def test_a_damaged_file_is_named(in_place):
    in_place.path.write_bytes(in_place.content[:-1])
    with pytest.raises(DataError, match=r"resnet18-.*\.pth.*damaged"):
        started("imagenet", 3).fresh(generator())


def test_missing_weights_are_said_before_anything_runs(published, falbench, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype=np.uint8)
    labels = np.arange(40) % 2
    parts = {"train_images": pixels, "test_images": pixels}
    np.savez(tmp_path / "mine.npz", **parts, train_labels=labels, test_labels=labels)
    (tmp_path / "mine.toml").write_text(
        '[tasks.a]\ndataset = "npz[path=mine.npz]"\nclients = 2\ninitial_labels = 2\n'
        'query_size = 2\nbudget_cap = 8\nmodel = { kind = "resnet18", weights = "imagenet" }\n'
    )
    code, _, err = falbench(
        "compare", "--suite", "mine.toml", "-s", "random", "--data-dir", tmp_path
    )
    assert code == 2
    assert published.path.name in err
    assert not (tmp_path / "results").exists()
