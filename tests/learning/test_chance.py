"""Augmentation and dropout: what they do."""

from dataclasses import replace

import numpy as np
import torch
from torchvision.transforms.v2.functional import affine, hflip

from fal_bench.learning import engine
from fal_bench.learning.chance import Distortions, Dropout, distort, drop_mask
from fal_bench.learning.engine import train
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture, Model
from fal_bench.learning.request import TrainRequest
from fal_bench.plugins.needs import LocalModel, LocalTraining
from fal_bench.strategies.random import Random
from fal_bench.task import ModelSpec, Task

RECIPE = LocalTraining(2, 4, 0.05, 0.9, 1e-3, None)


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


def test_they_change_training_and_leave_predictions_alone(lane):
    plain = Architecture(ModelSpec(kind="cnn", channels=(4, 6)), (1, 16, 8), 5)
    dropped = replace(plain, spec=ModelSpec(kind="cnn", channels=(4, 6), dropout=0.5))
    recipes = [replace(RECIPE, augmentation=kind) for kind in ("none", "flip", "flip-crop")]
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


def test_a_tasks_augmentation_reaches_rounds_and_local_models(tiny, blobs, run, monkeypatch):
    seen = set()
    original = engine.train_stacked

    def spy(network, training, *more):
        seen.add((training.epochs, training.augmentation))
        return original(network, training, *more)

    class Local(Random):
        needs = frozenset({LocalModel(LocalTraining(epochs=7))})

    monkeypatch.setitem(engine.ENGINES, "stacked", spy)
    run(Task.model_validate({**tiny.model_dump(), "augmentation": "flip"}), Local, blobs)
    assert seen == {(tiny.local_epochs, "flip"), (7, "flip")}
