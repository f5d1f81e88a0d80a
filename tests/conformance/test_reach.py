"""The search for hidden labels finds what is there to be found."""

import numpy as np
import pytest

from fal_bench.conformance.reach import openings
from fal_bench.conformance.trial import Watch, run_trial
from fal_bench.conformance.worlds import WORLDS
from fal_bench.federation.view import LiveClientView
from fal_bench.strategies.random import Random

SHARES = WORLDS[1]


def found(spoil=lambda view, setting: None):
    """Return what is found on real views after ``spoil`` has done something to the first."""
    setting = SHARES.setting()
    ways = []

    def visit(federation):
        spoil(federation._views[0], setting)
        ways.extend(openings(federation, setting))

    trial = run_trial(Random, setting, limit=30, queries=1, watch=Watch(visit))
    assert trial.error is None
    return ways


def test_the_views_of_the_harness_give_nothing_away():
    assert found() == []


def labels_of_pool(view, setting):
    return setting.dataset.train_labels.numpy()[view.unlabelled]


@pytest.mark.parametrize(
    ("spoil", "way"),
    [
        (
            lambda view, setting: vars(view).update(_true=labels_of_pool(view, setting)),
            "client._true holds the labels of the pool",
        ),
        (
            lambda view, setting: vars(view).update(data=setting.dataset),
            "client.data.train_labels holds labels that were not bought",
        ),
        (
            lambda view, setting: view.memory.update(seen=[setting.dataset.test_labels.numpy()]),
            "client.memory['seen'][0] holds test data",
        ),
    ],
)
def test_labels_and_test_data_in_reach_are_found(spoil, way):
    assert way in found(spoil)


def test_test_images_are_found_too():
    ways = found(lambda view, setting: vars(view).update(data=setting.dataset))
    assert "client.data.test_features holds test data" in ways


def test_an_open_door_is_found(monkeypatch):
    monkeypatch.setattr(LiveClientView, "_checked", lambda self, ids: np.minimum(ids, 299))
    ways = found()
    assert "client.shows another client's sample" in ways
    assert "client.predicts test samples" in ways


def test_a_label_that_can_be_bought_is_found(monkeypatch):
    monkeypatch.setattr(LiveClientView, "buy", lambda self, ids, purpose: np.zeros(len(ids)))
    ways = found()
    assert "client.buys a label of the state share for 'reward'" in ways
    assert "client.buys labels of the query on the side, for 'pool'" in ways


def test_what_a_public_method_closes_over_is_found(monkeypatch):
    def spoil(view, setting):
        secret = labels_of_pool(view, setting)
        monkeypatch.setattr(LiveClientView, "hint", lambda self: secret[0], raising=False)

    assert "client.hint (closure) holds the labels of the pool" in found(spoil)
