"""TM-FAL against statistics over stacked snapshots, and its turns by hand."""

import numpy as np
import pytest

from fal_bench.errors import InvalidSpecError
from fal_bench.federation.declared import check_suits
from fal_bench.plugins.needs import RoundSnapshots
from fal_bench.strategies.tm_fal import TMFAL, temporal_uncertainty


@pytest.fixture
def client(toy_pool, toy_model):
    def make(final, snapshots):
        return toy_pool([0], final, snapshots=tuple(snapshots))

    return make


def test_uncertainty_is_the_spread_of_features_over_the_mean_confidence(client, toy_model):
    rng = np.random.default_rng(0)
    models = [toy_model.drawn(rng, 12, d=5) for _ in range(4)]
    features = np.stack([model.embeddings[:11] for model in models]).astype(float)
    probs = np.stack([model.probs[:11] for model in models]).astype(float)
    expected = features.std(axis=0, ddof=1).mean(axis=1) / probs.mean(axis=0).max(axis=1)
    np.testing.assert_allclose(temporal_uncertainty(client(models[0], models)), expected, rtol=1e-6)


def test_predicted_classes_take_turns_by_hand(client, toy_model):
    # Features move by 1 to 6 between two snapshots of equal predictions; the final model predicts
    # classes 1 1 1 0 0 2 (and 0 for the labelled sample).
    moves = np.array([[1.0], [2], [3], [4], [5], [6], [0]])
    still = np.full((7, 3), 1 / 3)
    first, second = (toy_model(moves * k, np.zeros((3, 1)), probs=still) for k in (0, 1))
    final = toy_model(moves, np.zeros((3, 1)), probs=np.eye(3)[[1, 1, 1, 0, 0, 2, 0]])
    own = client(final, [first, second])
    assert TMFAL().select(own, 6).tolist() == [4, 2, 5, 3, 1, 0]
    assert TMFAL().select(own, 2).tolist() == [4, 2]


def test_too_few_rounds_are_refused_before_anything_runs(tiny):
    strategy = TMFAL({"every": tiny.rounds})
    with pytest.raises(InvalidSpecError, match=rf"tm-fal.*rounds to {2 * tiny.rounds}"):
        check_suits(strategy, tiny)
    assert TMFAL({"every": 3, "most": 4}).needs == {RoundSnapshots(3, 4)}
