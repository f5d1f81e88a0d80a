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
    ("spoil", "path"),
    [
        (lambda view, setting: vars(view).update(_true=labels_of_pool(view, setting)), "_true"),
        (lambda view, setting: vars(view).update(data=setting.dataset), "data.train_labels"),
        (lambda view, setting: vars(view).update(data=setting.dataset), "data.test_features"),
        (
            lambda view, setting: view.memory.update(seen=[setting.dataset.test_labels.numpy()]),
            "memory['seen'][0]",
        ),
    ],
)
def test_labels_and_test_data_in_reach_are_found(spoil, path):
    assert f"client.{path}" in {way.partition(" holds ")[0] for way in found(spoil)}


@pytest.mark.parametrize(
    ("method", "door", "ways"),
    [
        ("_checked", lambda self, ids: np.minimum(ids, 299), ("another client", "test samples")),
        ("buy", lambda self, ids, purpose: np.zeros(len(ids)), ("state share", "'pool'")),
    ],
)
def test_an_open_door_is_found(method, door, ways, monkeypatch):
    monkeypatch.setattr(LiveClientView, method, door)
    every = found()
    assert all(any(way in one for one in every) for way in ways)


def test_what_a_public_method_closes_over_is_found(monkeypatch):
    def spoil(view, setting):
        secret = labels_of_pool(view, setting)
        monkeypatch.setattr(LiveClientView, "hint", lambda self: secret[0], raising=False)

    assert any("client.hint (closure)" in way for way in found(spoil))
