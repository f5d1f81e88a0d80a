"""Epochs that are drawn at once give the bits of epochs that are drawn one by one."""

import numpy as np
import pytest
import torch

from fal_bench.learning.model import Architecture
from fal_bench.learning.request import AT_ONCE, Lane, epoch_order, epoch_orders
from fal_bench.learning.stacked import slots
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

MLP = Architecture(ModelSpec(kind="mlp", hidden=(8,)), (1, 4, 4), 3)
SIZES = (1, 3, 10, 23, 40)


def trained(keep_epochs=False, **options):
    generator = torch.Generator().manual_seed(0)
    start = MLP.fresh(generator).weights
    lanes = [
        Lane(
            start,
            torch.rand(size, 1, 4, 4, generator=generator),
            torch.randint(3, (size,), generator=generator),
            np.random.default_rng(size),
        )
        for size in SIZES
    ]
    settings = {"epochs": 7, "batch_size": 10, "lr": 0.2, "stop_at_accuracy": None, **options}
    return train_stacked(MLP.network, LocalTraining(**settings), lanes, 3, keep_epochs)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.8}, {"lr_drop_step": 5}])
def test_drawing_epochs_at_once_changes_no_bit(monkeypatch, options):
    ways = []
    for stretch in (1, 9, slots.STRETCH):
        monkeypatch.setattr(slots, "STRETCH", stretch)
        ways.append(trained(**options))
    for lanes in zip(*ways, strict=True):
        first, *others = (lane.weights for lane in lanes)
        for other in others:
            assert all(torch.equal(one, other[name]) for name, one in first.items())


@pytest.mark.parametrize("options", [{"stop_at_accuracy": 0.5}, {"patience": 1}])
def test_an_epoch_after_which_training_may_end_is_drawn_alone(monkeypatch, options):
    drawn = []

    def draw(count, epochs, rng):
        drawn.append(epochs)
        return epoch_orders(count, epochs, rng)

    monkeypatch.setattr(slots, "epoch_orders", draw)
    trained(**options)
    assert set(drawn) == {1}
    assert len(SIZES) <= len(drawn) < 7 * len(SIZES)


@pytest.mark.parametrize("count", [1, 2, 5, AT_ONCE, AT_ONCE + 1])
def test_orders_drawn_in_one_call_are_those_drawn_one_by_one(count):
    once, single = np.random.default_rng(3), np.random.default_rng(3)
    orders = epoch_orders(count, 4, once)
    assert np.array_equal(orders, [epoch_order(count, single) for _ in range(4)])
    assert once.random() == single.random()
    assert np.array_equal(epoch_orders(count, 1, once), [epoch_order(count, single)])


def test_weights_after_every_epoch_are_kept():
    for lane in trained(keep_epochs=True):
        assert len(lane.epochs) == 7
        assert all(torch.equal(one, lane.epochs[-1][name]) for name, one in lane.weights.items())
        assert not all(torch.equal(one, lane.epochs[0][name]) for name, one in lane.weights.items())
