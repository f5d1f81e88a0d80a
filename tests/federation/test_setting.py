import numpy as np
import pytest
import torch

from fal_bench.data.base import Dataset
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.setting import Setting


def change(task, **fields):
    return type(task).model_validate({**task.model_dump(), **fields})


def test_the_same_seed_gives_the_same_setting_and_another_seed_another(tiny, blobs):
    one, two, other = (Setting.draw(tiny, seed, blobs) for seed in (0, 0, 1))
    for first, second in zip(one.initial, two.initial, strict=True):
        np.testing.assert_array_equal(first, second)
    assert any(
        not np.array_equal(first, second)
        for first, second in zip(one.initial, other.initial, strict=True)
    )
    assert not np.array_equal(one.shares[0].pool, other.shares[0].pool)


@pytest.mark.parametrize(
    "recipe",
    [
        {"rounds": 7, "evaluation_rounds": 3, "augmentation": "flip"},
        {"local_epochs": 9, "batch_size": 3, "optimiser": {"lr": 0.7, "milestones": (2,)}},
    ],
)
def test_the_recipe_of_training_changes_nothing_that_is_drawn(tiny, blobs, recipe):
    tasks = tiny, change(tiny, **recipe), change(tiny, clients=4, budget_cap=32)
    one, two, other = (Setting.draw(task, 0, blobs) for task in tasks)
    assert one.task.hash != two.task.hash
    for first, second in zip(one.shares, two.shares, strict=True):
        np.testing.assert_array_equal(first.pool, second.pool)
    for first, second in zip(one.initial, two.initial, strict=True):
        np.testing.assert_array_equal(first, second)
    assert one.streams == two.streams != other.streams


def test_initial_labels_come_from_the_query_pool(tiny, blobs):
    shares = {"state": 0.1, "warm_start": 0.1, "agent": 0.6, "pool": 0.2}
    task = change(tiny, shares=shares, budget_cap=18)
    setting = Setting.draw(task, 0, blobs)
    assert setting.pool == 48
    for own, initial in zip(setting.shares, setting.initial, strict=True):
        assert len(initial) == 4
        assert set(initial) <= set(own.pool)
    assert setting.open_ledger().paper().tolist() == [4, 4, 4]


def test_a_long_tail_shrinks_the_pool(tiny, blobs):
    assert Setting.draw(change(tiny, long_tail=20), 0, blobs).pool < 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"query_size": 90, "budget_cap": 282}, "budget_cap 282 .* hold 240; lower .*query_size"),
        ({"budget_cap": 252}, "lower budget_cap to 234 or less"),
        ({"initial_labels": 100, "budget_cap": 306}, "lower initial_labels"),
    ],
)
def test_tasks_that_ask_for_more_than_the_pool_are_refused(tiny, blobs, fields, message):
    with pytest.raises(InvalidSpecError, match=message):
        Setting.draw(change(tiny, **fields), 0, blobs)
    Setting.draw(change(tiny, budget_cap=234), 0, blobs)  # the largest cap, which is suggested


@pytest.mark.parametrize("shape", [(6, 1, 1), (2, 1, 16)])
def test_only_images_are_augmented(tiny, shape):
    features = torch.zeros(60, *shape)
    dataset = Dataset("others", features, torch.arange(60) % 2, features, torch.arange(60) % 2, 2)
    assert Setting.draw(tiny, 0, dataset).dataset is dataset
    for kind in ("flip", "flip-crop"):
        with pytest.raises(InvalidSpecError, match=f"{kind!r}"):
            Setting.draw(change(tiny, augmentation=kind), 0, dataset)
