import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.environments import SoftmaxFit
from fal_bench.environments.heads import softmax
from fal_bench.errors import InvalidSpecError

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


@settings(deadline=None)
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
