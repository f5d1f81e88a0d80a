"""Models of users: one decorated function, trained by the sequential engine."""

import math
from typing import Annotated

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from fal_bench import model
from fal_bench.errors import InvalidSpecError, PluginError
from fal_bench.learning.engine import engine_of, train
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture
from fal_bench.learning.request import Lane, TrainRequest
from fal_bench.plugins.needs import LocalTraining
from fal_bench.plugins.registry import Registry, use_registry
from fal_bench.task import ModelSpec

SHAPE, CLASSES = (2, 4, 4), 3
RECIPE = LocalTraining(2, 4, 0.1, 0.9, 0.0, None)


class Net(nn.Module):
    """What a user may write: dropout between body and head, ``view``, batch normalisation."""

    def __init__(self, body, width, n_classes, share=0.5):
        super().__init__()
        self.body = body
        self.drop = nn.Dropout(share)
        self.head = nn.Linear(width, n_classes)

    def forward(self, samples):
        return self.head(self.drop(self.body(samples)))


class View(nn.Module):
    def forward(self, maps):
        return maps.view(len(maps), -1)


@model
def my_net(
    input_shape, n_classes, *, width: Annotated[int, Field(ge=1)] = 5, share: float = 0.5
) -> nn.Module:
    """Convolution, batch normalisation, dropout."""
    channels, height, size = input_shape
    body = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), View())
    return Net(body, width * height * size, n_classes, share)


def architecture(function=my_net, **params):
    registry = Registry.discover()
    registry.models.add(function, "this test")
    with use_registry(registry):
        kind = function.__name__.replace("_", "-")
        return Architecture(ModelSpec(kind=kind, **params), SHAPE, CLASSES)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def request(of, count, seed=0):
    features = torch.randn(count, *SHAPE, generator=generator(seed))
    labels = torch.arange(count) % CLASSES
    start = of.fresh(generator(seed)).weights
    lane = Lane(start, features, labels, np.random.default_rng(seed))
    return TrainRequest(of, RECIPE, (lane,))


def same(one, other):
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def test_initial_weights_are_its_layers_own_and_follow_from_the_stream_alone():
    of = architecture()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = of.fresh(generator()).weights
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(first, of.fresh(generator()).weights)
    assert not same(first, of.fresh(generator(1)).weights)


def test_an_initialisation_of_its_own_is_kept():
    @model
    def constant(input_shape, n_classes):
        net = Net(nn.Flatten(), math.prod(input_shape), n_classes)
        nn.init.constant_(net.head.weight, 0.25)
        return net

    weights = architecture(constant).fresh(generator()).weights
    assert (weights["head.weight"] == 0.25).all()


def test_training_is_the_same_in_any_company_and_chance_is_the_lanes_own():
    of = architecture()
    assert engine_of(of) == "sequential"
    alone = [train([request(of, count, seed)])[0].weights[0] for seed, count in enumerate((6, 9))]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    together = train([request(of, 9, 1), request(of, 7, 3), request(of, 6, 0)])
    assert same(together[0].weights[0], alone[1])
    assert same(together[2].weights[0], alone[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_and_batch_normalisation_are_at_work_in_training_and_not_in_prediction():
    of = architecture()
    [trained] = train([request(of, 9)])
    [other] = train([request(architecture(share=0.0), 9)])
    steps = trained.weights[0]["body.1.num_batches_tracked"]
    assert steps == 6
    assert not trained.weights[0]["head.weight"].equal(other.weights[0]["head.weight"])
    fitted = of.with_weights(trained.weights[0])
    features = torch.randn(5, *SHAPE, generator=generator(4))
    outputs = predict(fitted, features)
    network = fitted.module().eval()
    with torch.no_grad():
        np.testing.assert_allclose(outputs.logits, network(features), atol=1e-6)
        np.testing.assert_allclose(outputs.embeddings, network.body(features), atol=1e-6)
    one_by_one = [predict(fitted, sample[None]).logits[0] for sample in features]
    np.testing.assert_allclose(outputs.logits, one_by_one, atol=1e-5)


def test_layers_that_are_frozen_stay_as_they_are():
    @model
    def half_frozen(input_shape, n_classes):
        body = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 4), nn.ReLU())
        body.requires_grad_(False)
        return Net(body, 4, n_classes)

    asked = request(architecture(half_frozen), 9)
    [trained] = train([asked])
    assert trained.weights[0]["body.1.weight"].equal(asked.lanes[0].start["body.1.weight"])
    assert not trained.weights[0]["head.weight"].equal(asked.lanes[0].start["head.weight"])


def test_two_functions_of_one_name_are_two_architectures():
    @model
    def twin(input_shape, n_classes):
        return Net(nn.Flatten(), math.prod(input_shape), n_classes)

    first = architecture(twin)

    @model
    def twin(input_shape, n_classes):
        body = nn.Sequential(nn.Flatten(), nn.ReLU())
        return Net(body, math.prod(input_shape), n_classes)

    assert len(architecture(twin).network.body) == 2
    assert first != architecture(twin)


def returning(make):
    @model
    def odd(input_shape, n_classes):
        return make()

    return odd


def without(part):
    net = Net(nn.Flatten(), 32, CLASSES)
    delattr(net, part)
    return net


def with_head(head):
    net = Net(nn.Flatten(), 32, CLASSES)
    net.head = head
    return net


class Scaled(Net):
    def forward(self, samples):
        return 2 * super().forward(samples)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, "returned None"),
        (lambda: nn.Flatten(), "returned a Flatten without a module 'body'"),
        (lambda: without("head"), "without a module 'head'"),
        (lambda: with_head(nn.Sequential(nn.Linear(32, CLASSES))), "nn.Linear of 3 outputs"),
        (lambda: with_head(nn.Linear(32, 7)), "a Linear of 7 outputs.* of 3 outputs"),
        (lambda: Net(nn.Identity(), 4, CLASSES), r"body makes \(2, 2, 4, 4\)"),
        (lambda: Net(nn.Flatten(), 31, CLASSES), "shape"),
        (lambda: Scaled(nn.Flatten(), 32, CLASSES), r"must be head\(body\(samples\)\)"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_is_no_model_is_named_with_what_it_lacks(make, message):
    with pytest.raises(PluginError, match=f"'odd'.*{message}"):
        _ = architecture(returning(make)).network


def test_an_error_in_training_says_so():
    @model
    def normalised(input_shape, n_classes):
        width = math.prod(input_shape)
        return Net(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(width)), width, n_classes)

    with pytest.raises(PluginError, match=r"\(1, 2, 4, 4\).*more than 1"):
        train([request(architecture(normalised), 1)])


@pytest.mark.parametrize(
    ("params", "message"),
    [({"widht": 3}, "'widht'; did you mean 'width'"), ({"width": 0}, "'width' cannot be 0")],
)
def test_wrong_parameters_are_refused(params, message):
    with pytest.raises(InvalidSpecError, match=message):
        _ = architecture(**params).network


SHAPES = {"vector": (6, 1, 1), "series": (2, 1, 16), "image": (1, 9, 9)}
FOR = {
    "mlp": {"vector", "series", "image"},
    "cnn": {"image"},
    "cnn1d": {"series"},
    "cnn4": {"image"},
    "preact-resnet8": {"image"},
    "resnet18": {"image"},
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("name", FOR)
def test_a_model_refuses_data_of_another_kind(name, kind):
    shape = (1, 16, 16) if name == "cnn4" and kind == "image" else SHAPES[kind]
    architecture = Architecture(ModelSpec(kind=name), shape, CLASSES)
    if kind in FOR[name]:
        assert architecture.network.head.out_features == CLASSES
        return
    with pytest.raises(InvalidSpecError, match=f"{name!r}.*{kind}"):
        _ = architecture.network


def test_a_model_of_a_user_may_say_so_too(tmp_path):
    @model(kinds=("series",))
    def own(input_shape, n_classes):
        return Net(nn.Flatten(), math.prod(input_shape), n_classes)

    spec = ModelSpec(kind="own")
    assert Architecture(spec, SHAPES["series"], CLASSES, function=own).network is not None
    with pytest.raises(InvalidSpecError, match=r"'own'.*vector"):
        _ = Architecture(spec, SHAPES["vector"], CLASSES, function=own).network


def test_a_series_too_short_for_its_blocks_is_refused():
    spec = ModelSpec(kind="cnn1d", channels=(2, 2, 2))
    with pytest.raises(InvalidSpecError, match="7 steps"):
        _ = Architecture(spec, (1, 1, 7), CLASSES).network
