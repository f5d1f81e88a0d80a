"""One function for both engines: merging, shared answers, and who trains what."""

import numpy as np
import pytest
import torch

from fal_bench.learning import engine
from fal_bench.learning.engine import engine_of, train
from fal_bench.learning.model import Architecture
from fal_bench.learning.request import Lane, TrainRequest
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

MLP = Architecture(ModelSpec(kind="mlp", hidden=(6,)), (1, 4, 4), 3)
CNN = Architecture(ModelSpec(kind="cnn", channels=(3,)), (1, 4, 4), 3)
CNN4 = Architecture(ModelSpec(kind="cnn4", width=3), (1, 16, 16), 3)
SHORT = LocalTraining(2, 4, 0.1, 0.0, 0.0, None)
LONG = LocalTraining(3, 4, 0.1, 0.9, 0.0, 0.99)


def request(architecture, training, sizes, seed=0, key=None):
    generator = torch.Generator().manual_seed(seed)
    lanes = tuple(
        Lane(
            architecture.fresh(generator).weights,
            torch.randn(count, *architecture.input_shape, generator=generator),
            torch.randint(3, (count,), generator=generator),
            np.random.default_rng([seed, number]),
        )
        for number, count in enumerate(sizes)
    )
    return TrainRequest(architecture, training, lanes, key)


COMPANY = [
    (MLP, SHORT, (5, 9)),
    (CNN, SHORT, (3, 8, 4)),
    (MLP, LONG, (6,)),
    (CNN4, SHORT, (4, 6)),
    (MLP, SHORT, (2, 3, 30)),
    (CNN, SHORT, (7,)),
]


@pytest.fixture
def same(same_bits):
    """A function that asserts that two answers have the same weights."""

    def assert_same(ours, theirs):
        for one, other in zip(ours.weights, theirs.weights, strict=True):
            same_bits(one, other)

    return assert_same


def test_a_request_has_the_same_answer_in_any_company(same):
    def requests():
        return [request(*members, seed) for seed, members in enumerate(COMPANY)]

    together = train(requests())
    backwards = train(requests()[::-1])[::-1]
    for number, alone in enumerate(requests()):
        [answer] = train([alone])
        same(answer, together[number])
        same(answer, backwards[number])


def test_the_same_key_is_trained_once(monkeypatch, same):
    calls = []

    def counting(network, training, lanes, *more):
        calls.append(len(lanes))
        return original(network, training, lanes, *more)

    original = engine.ENGINES["stacked"]
    monkeypatch.setitem(engine.ENGINES, "stacked", counting)
    named = [request(MLP, SHORT, (5, 9), key="a"), request(MLP, SHORT, (5, 9), key="a")]
    other = request(MLP, SHORT, (5, 9), seed=1, key="b")
    unnamed = request(MLP, SHORT, (5, 9))
    answers = train([named[0], unnamed, named[1], other])
    assert calls == [6]
    assert answers[0] is answers[2]
    same(answers[0], answers[1])
    assert not torch.equal(answers[3].weights[0]["head.bias"], answers[0].weights[0]["head.bias"])


def test_time_is_split_by_updates(monkeypatch):
    clock = iter([10.0, 14.0])
    monkeypatch.setattr(engine.time, "perf_counter", lambda: next(clock))
    answers = train([request(MLP, SHORT, (4, 4)), request(MLP, SHORT, (24,))])
    assert [answer.seconds for answer in answers] == pytest.approx([1.0, 3.0])


@pytest.mark.parametrize(
    ("spec", "shape", "expected"),
    [
        (ModelSpec(kind="mlp"), (3, 64, 64), "stacked"),
        (ModelSpec(kind="cnn"), (1, 8, 16), "stacked"),
        (ModelSpec(kind="cnn"), (3, 16, 16), "stacked"),
        (ModelSpec(kind="cnn"), (1, 28, 28), "sequential"),
        (ModelSpec(kind="cnn4"), (1, 16, 16), "sequential"),
        (ModelSpec(kind="mlp", hidden=()), (512, 1, 1), "stacked"),
        (ModelSpec(kind="resnet18"), (1, 9, 9), "sequential"),
        (ModelSpec(kind="cnn1d"), (6, 1, 200), "stacked"),
        (ModelSpec(kind="cnn1d"), (6, 1, 201), "sequential"),
    ],
)
def test_the_engine_follows_from_the_architecture(spec, shape, expected):
    assert engine_of(Architecture(spec, shape, 10)) == expected


def test_a_request_without_lanes_or_samples_is_answered():
    answers = train([TrainRequest(MLP, SHORT, ()), request(MLP, SHORT, (0,))])
    assert answers[0].weights == ()
    assert torch.isfinite(answers[1].weights[0]["head.bias"]).all()
