import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from fal_bench.environments.heads import RidgeFit, _calibrate, _ridge, softmax
from fal_bench.errors import InvalidSpecError


def problem(n: int, d: int, n_classes: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    means = 2 * np.eye(max(d, n_classes))[:n_classes, :d]
    return rng.normal(size=(n, d)) + means[labels], labels


@settings(deadline=None)
@given(st.integers(3, 25), st.integers(1, 25), st.floats(0.01, 5))
def test_scores_equal_scikit_learns_ridge(n: int, d: int, penalty: float) -> None:
    x, labels = problem(n, d)
    y = np.eye(3)[labels]
    centred = x - x.mean(axis=0)
    strength = penalty * np.square(centred).sum() / n
    expected = Ridge(alpha=strength).fit(x, y)
    weights, _ = _ridge(centred, y - y.mean(axis=0), penalty)
    assert np.allclose(weights.T, expected.coef_, atol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(6, 10), (12, 4)])
def test_left_out_predictions_equal_refits_without_the_sample(n: int, d: int) -> None:
    x, labels = problem(n, d)
    y = np.eye(3)[labels]
    strength = 0.3 * np.square(x - x.mean(axis=0)).sum() / n
    _, left_out = _ridge(x - x.mean(axis=0), y - y.mean(axis=0), 0.3)
    for i in range(n):
        others = np.arange(n) != i
        refit = Ridge(alpha=strength).fit(x[others], y[others]).predict(x[i : i + 1])[0]
        assert left_out[i] + y.mean(axis=0) == pytest.approx(refit)


def test_calibration_minimises_the_log_loss() -> None:
    rng = np.random.default_rng(0)
    scores, sharpness = rng.normal(size=(4000, 3)), 2.5
    labels = np.array([rng.choice(3, p=row) for row in softmax(sharpness * scores)])
    found = _calibrate(scores, labels)
    assert found == pytest.approx(sharpness, rel=0.05)

    def loss(value: float) -> float:
        return -np.log(softmax(value * scores)[np.arange(4000), labels]).mean()

    assert loss(found) <= min(loss(found * 1.02), loss(found / 1.02))


def test_more_labels_make_it_better_and_surer() -> None:
    test_x, test_labels = problem(300, 5, seed=9)
    accuracy, margin = [], []
    for n in (3, 12, 120):
        probs = RidgeFit()(*problem(n, 5), 3)(test_x)
        accuracy.append((probs.argmax(axis=1) == test_labels).mean())
        margin.append(np.diff(np.sort(probs, axis=1)[:, -2:], axis=1).mean())
    assert accuracy[0] < accuracy[1] < accuracy[2]
    assert accuracy[2] > 0.8
    assert margin[0] < margin[2]


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 8), st.integers(2, 5), st.booleans())
def test_probabilities_are_always_proper(n, d, n_classes, constant) -> None:
    x, labels = problem(n, d, n_classes)
    x = np.zeros_like(x) if constant else x
    probs = RidgeFit()(x.astype(np.float32), labels, n_classes)(x.astype(np.float32))
    assert probs.shape == (n, n_classes)
    assert probs.dtype == np.float32
    assert np.isfinite(probs).all()
    assert np.allclose(probs.sum(axis=1), 1, atol=1e-5)


def test_one_sample_predicts_its_class() -> None:
    probs = RidgeFit()(np.ones((1, 2)), np.array([1]), 3)(np.random.default_rng(0).random((4, 2)))
    assert (probs.argmax(axis=1) == 1).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(InvalidSpecError, match="positive"):
        RidgeFit(0)
    with pytest.raises(InvalidSpecError, match="flat"):
        RidgeFit()(np.zeros((2, 1, 8, 8)), np.array([0, 1]), 2)
