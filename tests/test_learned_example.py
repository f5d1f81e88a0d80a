"""The example of a learned score: its features read no label, and its training runs."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

EXAMPLE = Path(__file__).parent.parent / "examples" / "learned-score"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("learned_score", "train"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import learned_score

    return learned_score


@pytest.fixture
def client():
    rng = np.random.default_rng(0)
    embeddings, probs = rng.normal(size=(20, 4)), rng.dirichlet(np.ones(3), size=20)

    def make(labelled):
        """Return a client whose first samples are unlabelled, the others labelled in order."""
        ids = np.concatenate([np.setdiff1d(np.arange(20), labelled), labelled]).astype(int)
        pool = len(ids) - len(labelled)
        return SimpleNamespace(
            unlabelled=np.arange(pool),
            labelled=np.arange(pool, 20),
            labels=probs[labelled].argmax(axis=1),  # as predicted
            n_classes=3,
            global_model=None,
            embeddings=lambda _, own=None: embeddings[ids[:pool] if own is None else ids[own]],
            probs=lambda _: probs[ids[:pool]],
        )

    return make


def test_a_bought_sample_counts_as_a_labelled_one(example, client):
    bought, labelled = (
        example.Pool(client(np.array(ids))) for ids in ([17, 18, 19], [17, 18, 19, 6])
    )
    assert bought.buy(np.eye(17)[6]) == 6
    assert bought.buy(np.where(bought.left, 0.0, 1.0)) != 6  # the best of those that are left
    bought = example.Pool(client(np.array([17, 18, 19])))
    bought.buy(np.eye(17)[6])
    own, other = bought.features()[bought.left], labelled.features()
    for ranked in (2, 3, 5):  # leverage, outputs moved, distance to what is labelled
        np.testing.assert_array_equal(*(np.argsort(table[:, ranked]) for table in (own, other)))
    np.testing.assert_allclose(own[:, 7], other[:, 7])  # labels of the predicted class


def test_its_weights_are_part_of_a_run_and_its_picks_are_distinct(example, client, tmp_path):
    strategy = example.LearnedScore()
    chosen = strategy.select(client(np.array([3, 8])), 18)
    assert sorted(chosen.tolist()) == list(range(18))
    known = strategy.identity
    (tmp_path / "weights.json").write_text("{}")
    example.WEIGHTS = tmp_path / "weights.json"
    assert strategy.identity != known


def test_training_learns_the_teachers_ranks(example):
    import train

    features, gains = train.noted([5])
    assert features.shape == (len(gains), len(example.Pool.FEATURES))
    network = example.Network(train.fitted(features, gains, most=2000))
    assert spearmanr(network.scores(features), gains).statistic > 0.3
