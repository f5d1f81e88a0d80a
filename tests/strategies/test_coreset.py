"""Core-set by hand and against another implementation's picks."""

from dataclasses import replace

import numpy as np

from fal_bench.plugins.needs import LIKE_TASK, LocalModel
from fal_bench.strategies.coreset import CoreSet, SalCoreSet

HEAD = np.eye(2)


def test_by_hand(toy_model, toy_pool):
    # Labelled at (0, 0). Farthest: 3 at (0, 9), then 1 at (8, 0); of the rest 2 at (4, 4) is 5.66
    # from (0, 0), 5.66 from (8, 0) and 6.40 from (0, 9), 0 at (1, 0) is 1 from the origin.
    model = toy_model([[1, 0], [8, 0], [4, 4], [0, 9], [0, 0]], HEAD)
    assert CoreSet().select(toy_pool([0], model), 4).tolist() == [3, 1, 2, 0]


def test_against_scikit_activeml(toy_model, toy_pool):
    """The picks of scikit-activeml 1.0.1's CoreSet, 6 of 8 with 4 labelled."""
    rng = np.random.default_rng(42)
    model = toy_model(rng.normal(size=(12, 4)).round(2), np.eye(4))
    assert CoreSet().select(toy_pool([0, 1, 2, 2], model), 6).tolist() == [1, 3, 7, 4, 6, 0]


def test_sal_coreset_looks_at_the_local_models_embeddings(toy_model, toy_pool):
    model = toy_model([[1, 0], [8, 0], [4, 4], [0, 9], [0, 0]], HEAD)
    other = toy_model([[9, 0], [1, 0], [2, 0], [3, 0], [0, 0]], HEAD)
    client = toy_pool([0], other, model)
    assert CoreSet().select(client, 2).tolist() == [0, 3]
    assert SalCoreSet().select(client, 2).tolist() == [3, 1]
    own = replace(LIKE_TASK, lr=0.2, inherited=LIKE_TASK.inherited - {"lr"})
    assert SalCoreSet({"lr": 0.2}).needs == {LocalModel(own)}
    assert not CoreSet().needs
