import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.environments.agents.replay import EPSILON, PrioritizedReplayBuffer
from fal_bench.errors import InvalidSpecError


def buffer(size: int = 8, filled: int = 0, **options: float) -> PrioritizedReplayBuffer:
    made = PrioritizedReplayBuffer(
        size,
        spaces.Box(0, 1000, (1,), np.float32),
        spaces.Discrete(5),
        device="cpu",
        rng=np.random.default_rng(3),
        **options,
    )
    for number in range(filled):
        store(made, number)
    return made


def store(
    made: PrioritizedReplayBuffer, number: int, done: bool = False, cut: bool = False
) -> None:
    made.add(
        np.array([[number]], dtype=np.float32),
        np.array([[number + 1]], dtype=np.float32),
        np.array([number % 5]),
        np.array([number / 10]),
        np.array([done]),
        [{"TimeLimit.truncated": cut}],
    )


def frequencies(made: PrioritizedReplayBuffer, draws: int) -> np.ndarray:
    counts = np.zeros(made.size())
    for _ in range(draws):
        counts[made.sample(1).indices] += 1
    return counts / draws


def test_exponent_zero_samples_uniformly_whatever_the_errors() -> None:
    made = buffer(filled=4, exponent=0)
    made.update_priorities(np.arange(4), np.array([0.0, 1.0, 10.0, 1000.0]))
    assert frequencies(made, 8000) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(("exponent", "expected"), [(1, [1 / 3, 2 / 3]), (3, [1 / 9, 8 / 9])])
def test_frequencies_follow_the_errors_to_the_power_of_the_exponent(exponent, expected) -> None:
    made = buffer(filled=2, exponent=exponent)
    made.update_priorities(np.arange(2), np.array([-1.0, 2.0]))
    assert frequencies(made, 8000) == pytest.approx(expected, abs=0.015)


def test_pairs_without_replacement_have_sequential_draw_probabilities() -> None:
    # p = 1/7, 2/7, 4/7. P(pair {1, 2}) = 2/7 * 4/5 + 4/7 * 2/3 = 64/105, and so on.
    made = buffer(filled=3, exponent=1)
    made.update_priorities(np.arange(3), np.array([1.0, 2.0, 4.0]))
    missing = np.zeros(3)
    for _ in range(8000):
        (left_out,) = set(range(3)) - set(made.sample(2).indices.tolist())
        missing[left_out] += 1
    expected = [64 / 105, 1 / 7 * 4 / 6 + 4 / 7 * 1 / 3, 1 / 7 * 2 / 6 + 2 / 7 * 1 / 5]
    assert missing / 8000 == pytest.approx(expected, abs=0.02)


@given(stored=st.integers(1, 20), batch=st.integers(1, 25), exponent=st.floats(0, 5))
def test_a_batch_never_repeats_a_transition(stored: int, batch: int, exponent: float) -> None:
    made = buffer(size=16, filled=stored, exponent=exponent)
    indices = made.sample(batch).indices
    assert len(set(indices.tolist())) == len(indices) == min(batch, stored, 16)
    assert indices.max() < min(stored, 16)


@given(size=st.integers(1, 6), stored=st.integers(1, 20))
def test_a_full_buffer_keeps_the_newest_transitions(size: int, stored: int) -> None:
    made = buffer(size=size, filled=stored)
    kept = made.sample(size).observations[:, 0].tolist()
    assert sorted(kept) == list(range(max(0, stored - size), stored))


def test_a_new_transition_gets_the_largest_stored_priority() -> None:
    made = buffer(size=3, filled=2, exponent=3)
    made.update_priorities(np.arange(2), np.array([0.5, 2.0]))
    store(made, 2)
    assert made.inverse_priorities[2] == pytest.approx((2 + EPSILON) ** -3)
    store(made, 3)  # wraps round to slot 0
    assert made.inverse_priorities[0] == pytest.approx((2 + EPSILON) ** -3)


def test_importance_weights_by_hand() -> None:
    made = buffer(filled=2, exponent=1, beta=0.5)
    made.update_priorities(np.arange(2), np.array([1.0, 4.0]))
    batch = made.sample(2)
    assert batch.weights is not None
    by_slot = dict(zip(batch.indices.tolist(), batch.weights[:, 0].tolist(), strict=True))
    # (n p)^-beta: p = 1/5 and 4/5, so the weights stand 2 : 1.
    assert by_slot == pytest.approx({0: 1.0, 1: 0.5}, rel=1e-5)


def test_without_beta_there_are_no_weights() -> None:
    assert buffer(filled=2).sample(2).weights is None


def test_batch_fields_belong_together() -> None:
    made = buffer(filled=5)
    store(made, 5, done=True)
    store(made, 6, done=True, cut=True)
    batch = made.sample(7)
    numbers = batch.observations[:, 0]
    assert torch.equal(batch.next_observations[:, 0], numbers + 1)
    assert torch.equal(batch.actions[:, 0], numbers.long() % 5)
    assert torch.allclose(batch.rewards[:, 0], numbers / 10)
    # Number 5 ended; number 6 was cut by a time limit, which is no end.
    assert torch.equal(batch.dones[:, 0], (numbers == 5).float())


def test_a_batch_shares_no_memory_with_the_buffer() -> None:
    made = buffer(filled=1)
    made.sample(1).observations.fill_(99)
    assert made.sample(1).observations.item() == 0


@pytest.mark.usefixtures("untouched_streams")
def test_sampling_leaves_the_global_streams_alone() -> None:
    buffer(filled=5).sample(3)


@pytest.mark.parametrize(
    "options", [{"exponent": -1}, {"beta": 1.5}, {"n_envs": 2}, {"exponent": float("nan")}]
)
def test_bad_parameters_are_refused(options) -> None:
    with pytest.raises(InvalidSpecError):
        buffer(**options)


def test_an_empty_buffer_says_what_to_do() -> None:
    with pytest.raises(InvalidSpecError, match="run an episode"):
        buffer().sample(1)
