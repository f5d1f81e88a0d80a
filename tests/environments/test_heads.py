import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from fal_bench.environments import SoftmaxFit
from fal_bench.environments.heads import RidgeFit, _calibrate, _ridge, softmax
from fal_bench.errors import InvalidSpecError


def problem(n: int, d: int, n_classes: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    means = 2 * np.eye(max(d, n_classes))[:n_classes, :d]
    return rng.normal(size=(n, d)) + means[labels], labels


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


@given(st.integers(1, 12), st.integers(1, 8), st.integers(2, 5), st.booleans())
def test_probabilities_are_always_proper(n, d, n_classes, constant) -> None:
    x, labels = problem(n, d, n_classes)
    x = np.zeros_like(x) if constant else x
    probs = RidgeFit()(x.astype(np.float32), labels, n_classes)(x.astype(np.float32))
    assert probs.shape == (n, n_classes)
    assert probs.dtype == np.float32
    assert np.isfinite(probs).all()
    assert np.allclose(probs.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("penalty", [0.3, 1e-3])
def test_one_sample_predicts_its_class(penalty: float) -> None:
    head = RidgeFit(penalty)(np.ones((1, 2)), np.array([1]), 3)
    probs = head(np.random.default_rng(0).random((4, 2)))
    assert (probs.argmax(axis=1) == 1).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(InvalidSpecError, match="positive"):
        RidgeFit(0)
    with pytest.raises(InvalidSpecError, match="flat"):
        RidgeFit()(np.zeros((2, 1, 8, 8)), np.array([0, 1]), 2)


WEIGHTS, BIAS = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.1, -0.1])


def log_loss(classifier, x, labels) -> float:
    return float(-np.log(classifier(x)[np.arange(len(x)), labels]).mean())


def test_one_step_by_hand() -> None:
    # One sample x = (1, 2), class 0: logits 1.1 and 1.9, so p = (s, 1 - s) with s = 1/(1+e^0.8).
    s = 1 / (1 + np.exp(0.8))
    step = 2.0 / 6.0  # rate over the squared norm of (1, 2, 1)
    gradient = np.outer([1, 2, 1], [s - 1, 1 - s])
    expected = np.vstack([WEIGHTS, BIAS]) - step * gradient
    x = np.array([[1.0, 2.0]])
    found = SoftmaxFit(WEIGHTS, BIAS, steps=1, rate=2.0)(x, np.array([0]), 2)
    inputs = np.random.default_rng(0).normal(size=(5, 2))
    assert np.allclose(found(inputs), softmax(inputs @ expected[:2] + expected[2]))


def test_it_starts_at_the_given_head_every_time() -> None:
    x = np.array([[1.0, 2.0], [2.0, 0.0]], dtype=np.float32)
    fit = SoftmaxFit(WEIGHTS, BIAS, steps=5)
    first = fit(x, np.array([0, 1]), 2)(x)
    assert (fit(x, np.array([0, 1]), 2)(x) == first).all()
    assert (np.eye(2) == WEIGHTS).all()
    assert first.dtype == np.float32


@given(st.integers(1, 30), st.integers(0, 1000))
def test_the_loss_falls_even_at_the_largest_rates(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(n, 2)), rng.integers(2, size=n)
    untrained = SoftmaxFit(WEIGHTS, BIAS, steps=1, rate=1e-9)(x, labels, 2)
    trained = SoftmaxFit(WEIGHTS, BIAS, steps=400, rate=7.0)(x, labels, 2)
    assert log_loss(trained, x, labels) <= log_loss(untrained, x, labels) + 1e-6


def test_it_keeps_what_the_initial_head_knows_of_classes_without_a_sample() -> None:
    x, labels = np.eye(3)[[0, 0, 1]], np.array([0, 0, 1])
    from_head = SoftmaxFit(6 * np.eye(3), np.zeros(3))(x, labels, 3)(np.eye(3))
    from_zero = SoftmaxFit(np.zeros((3, 3)), np.zeros(3))(x, labels, 3)(np.eye(3))
    assert from_head.argmax(axis=1).tolist() == [0, 1, 2]
    assert from_zero[2].argmax() != 2


@pytest.mark.parametrize(
    "values",
    [
        {"weights": np.zeros(2)},
        {"bias": np.zeros(3)},
        {"steps": 0},
        {"rate": 8.0},
        {"rate": 0.0},
        {"momentum": 1.0},
    ],
)
def test_bad_parameters_are_refused(values) -> None:
    with pytest.raises(InvalidSpecError):
        SoftmaxFit(**{"weights": WEIGHTS, "bias": BIAS, **values})


def test_data_of_another_shape_are_refused() -> None:
    fit = SoftmaxFit(WEIGHTS, BIAS)
    with pytest.raises(InvalidSpecError, match="maps 2 features"):
        fit(np.zeros((1, 3)), np.array([0]), 2)
    with pytest.raises(InvalidSpecError, match="and 3 classes"):
        fit(np.zeros((1, 2)), np.array([0]), 3)
