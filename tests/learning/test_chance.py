"""Augmentation and dropout: what they do, and that both engines do the same, in any company."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import affine, hflip

from fal_bench.learning import engine
from fal_bench.learning.chance import Distortions, Dropout, distort, drop_mask
from fal_bench.learning.engine import train
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture, Model
from fal_bench.learning.request import Lane, TrainRequest
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.autograd import AutogradStep
from fal_bench.learning.stacked.cnn import CnnStep
from fal_bench.learning.stacked.engine import step_of, train_stacked
from fal_bench.learning.stacked.mlp import MlpStep
from fal_bench.plugins.needs import LocalModel, LocalTraining
from fal_bench.strategies.random import Random
from fal_bench.task import ModelSpec, Task

MODELS = {
    "mlp": Architecture(ModelSpec(kind="mlp", hidden=(16,), dropout=0.5), (1, 8, 8), 5),
    "odd-mlp": Architecture(ModelSpec(kind="mlp", hidden=(11,), dropout=0.3), (1, 3, 5), 5),
    "cnn": Architecture(ModelSpec(kind="cnn", channels=(4, 6), dropout=0.5), (1, 8, 8), 5),
    "odd-cnn": Architecture(ModelSpec(kind="cnn", channels=(3, 5), dropout=0.5), (1, 6, 14), 5),
    "cnn4": Architecture(ModelSpec(kind="cnn4", width=6, dropout=0.2), (1, 16, 16), 5),
    "plain-cnn": Architecture(ModelSpec(kind="cnn", channels=(4, 6)), (1, 16, 8), 5),
}
RECIPE = LocalTraining(2, 4, 0.05, 0.9, 1e-3, None)


@pytest.fixture(params=MODELS)
def architecture(request):
    return MODELS[request.param]


@pytest.fixture(params=["none", "flip", "flip-crop"])
def recipe(request):
    return replace(RECIPE, augmentation=request.param)


def lane(architecture, count, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    start = architecture.fresh(generator).weights
    return Lane(
        {name: t.to(dtype) if t.is_floating_point() else t for name, t in start.items()},
        torch.randn(count, *architecture.input_shape, generator=generator, dtype=dtype),
        torch.randint(architecture.n_classes, (count,), generator=generator),
        np.random.default_rng(seed),
    )


def lanes(architecture, sizes, **options):
    return [lane(architecture, count, seed, **options) for seed, count in enumerate(sizes)]


def test_images_are_mirrored_and_moved():
    images = torch.arange(1, 2 * 3 * 4 * 5 + 1).view(2, 3, 4, 5).float()
    flips, shifts = np.array([True, False]), np.array([[1, -2], [0, 1]])
    moved = distort(images, flips, shifts)
    for number in range(2):
        image = hflip(images[number]) if flips[number] else images[number]
        down, right = shifts[number].tolist()
        expected = affine(image, 0, [right, down], 1, [0.0, 0.0])
        assert torch.equal(moved[number], expected)
    still = distort(images, np.zeros(2, dtype=bool), np.zeros((2, 2), dtype=int))
    assert torch.equal(still, images)


def test_draws_cover_what_they_should():
    drawn = Distortions.draw("flip-crop", 50, 20, (16, 32), np.random.default_rng(0))
    assert 0.4 < drawn.flips.mean() < 0.6
    assert set(drawn.shifts[..., 0].ravel()) == set(range(-2, 3))
    assert set(drawn.shifts[..., 1].ravel()) == set(range(-4, 5))
    plain = Distortions.draw("flip", 5, 4, (16, 32), np.random.default_rng(0))
    assert not plain.shifts.any()


def test_dropout_keeps_the_mean():
    mask = drop_mask(0.25, 400, 50, np.random.default_rng(0))
    assert set(np.unique(mask)) == {0, np.float32(1 / 0.75)}
    assert abs(mask.mean() - 1) < 0.02
    assert abs((mask == 0).mean() - 0.25) < 0.02


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-5), (torch.float64, 1e-7)])
def test_both_engines_agree(architecture, recipe, dtype, bound):
    sizes = [20, 14, 0, 6, 31, 12, 10, 2]
    if architecture is MODELS["cnn4"]:  # normalisation amplifies rounding
        bound *= 100
    network = copy.deepcopy(architecture.network).to(dtype)
    stacked = train_stacked(network, recipe, lanes(architecture, sizes, dtype=dtype), 5)
    plain = train_sequentially(network, recipe, lanes(architecture, sizes, dtype=dtype), 5)
    for ours, theirs in zip(stacked, plain, strict=True):
        for name, tensor in ours.weights.items():
            torch.testing.assert_close(tensor, theirs.weights[name], rtol=bound, atol=bound)


@pytest.mark.parametrize("company", [2, 9, 33])
def test_a_lane_has_the_same_bits_in_any_company(architecture, recipe, company):
    sizes = [(7 * number) % 23 + 2 for number in range(company)]
    together = train_stacked(architecture.network, recipe, lanes(architecture, sizes), 5)
    for number in {0, company // 2, company - 1}:
        job = lane(architecture, sizes[number], number)
        [alone] = train_stacked(architecture.network, recipe, [job], 5)
        for name, tensor in alone.weights.items():
            assert torch.equal(tensor, together[number].weights[name]), name


def test_they_change_training_and_leave_predictions_alone():
    plain = MODELS["plain-cnn"]
    dropped = replace(plain, spec=ModelSpec(kind="cnn", channels=(4, 6), dropout=0.5))
    recipes = [
        RECIPE,
        replace(RECIPE, augmentation="flip"),
        replace(RECIPE, augmentation="flip-crop"),
    ]
    trained = [
        train([TrainRequest(architecture, recipe, (lane(plain, 12, 3),))])[0].weights[0]
        for architecture, recipe in [(plain, one) for one in recipes] + [(dropped, RECIPE)]
    ]
    biases = {tuple(weights["head.bias"].tolist()) for weights in trained}
    assert len(biases) == 4
    images = torch.randn(5, 1, 16, 8, generator=torch.Generator().manual_seed(0))
    same = [predict(Model(one, trained[0]), images).logits for one in (plain, dropped)]
    np.testing.assert_array_equal(*same)
    module = Model(dropped, trained[0]).module()
    assert any(isinstance(one, Dropout) for one in module.modules())
    with torch.no_grad():
        np.testing.assert_allclose(module(images), same[0], atol=1e-6)


def test_only_the_steps_that_can_are_used():
    flipping = replace(RECIPE, augmentation="flip")
    plain = {
        "mlp": Architecture(ModelSpec(kind="mlp", hidden=(16,)), (1, 8, 8), 5),
        "cnn": MODELS["plain-cnn"],
    }
    assert type(step_of(plain["cnn"].network, RECIPE)) is CnnStep
    assert type(step_of(plain["cnn"].network, flipping)) is AutogradStep
    assert type(step_of(plain["mlp"].network, flipping)) is MlpStep
    assert type(step_of(MODELS["mlp"].network, RECIPE)) is AutogradStep


def test_a_tasks_augmentation_reaches_rounds_and_local_models(tiny, blobs, run, monkeypatch):
    seen = set()
    original = engine.train_stacked

    def spy(network, training, *more):
        seen.add((training.epochs, training.augmentation))
        return original(network, training, *more)

    class Local(Random):
        needs = frozenset({LocalModel(LocalTraining(epochs=7))})

    monkeypatch.setattr(engine, "train_stacked", spy)
    run(Task.model_validate({**tiny.model_dump(), "augmentation": "flip"}), Local, blobs)
    assert seen == {(tiny.local_epochs, "flip"), (7, "flip")}
