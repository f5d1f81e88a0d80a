import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_stable_baselines3

import fal_bench.environments
from fal_bench.environments import EpisodeOptions, FedRALBatchEnv
from fal_bench.environments.steps import margin_quantiles
from fal_bench.errors import InvalidSpecError

VARIANTS = [
    {},
    {"action": "quantile"},
    {"action": "size_x_quantile", "windows": 3},
    {"state_source": "pool", "budget": 60},
    {"extras": True, "target_precision": 0.95},
    {"rank": "random", "decline_patience": 2},
    {"rank": "entropy", "reward": "delta_cost"},
    {"reward": "cost"},
    {"reward": "authors"},
]


def run(env, actions, seed=0):
    """Play actions until the episode is over; return everything that was seen."""
    seen = [env.reset(seed=seed)]
    for action in actions:
        seen.append(env.step(action))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


@pytest.mark.parametrize("changes", VARIANTS)
def test_both_checkers_accept_every_variant(changes) -> None:
    env = gymnasium.make("falbench/FedRALBatch-v0", **changes).unwrapped
    check_gymnasium(env)
    check_stable_baselines3(env)


def test_made_without_arguments_it_runs_on_digits() -> None:
    env = gymnasium.make("falbench/FedRALBatch-v0")
    assert env.spec.id == fal_bench.environments.ENVIRONMENT_ID
    observation, info = env.reset(seed=1)
    assert observation.shape == (32,)
    assert info["labels"] == 10
    env.step(env.action_space.n - 1)


@pytest.mark.parametrize("changes", VARIANTS)
def test_episodes_repeat_under_the_same_seed(make_env, changes) -> None:
    actions = np.random.default_rng(0).integers(3, size=20)
    first, second = run(make_env(**changes), actions), run(make_env(**changes), actions)
    other = run(make_env(**changes), actions, seed=1)
    assert str(first) == str(second)
    assert str(first) != str(other)


def test_episodes_go_on_from_the_seeded_stream(make_env) -> None:
    def starts(env):
        return [env.reset(seed=5)[0].tolist(), env.reset()[0].tolist(), env.reset()[0].tolist()]

    first, second = starts(make_env()), starts(make_env())
    assert first == second
    assert first[0] != first[1] != first[2]


@settings(max_examples=30)
@given(
    actions=st.lists(st.integers(0, 8), min_size=25, max_size=25),
    changes=st.sampled_from(VARIANTS),
    budget=st.integers(4, 60),
)
def test_what_holds_in_every_episode(data, toy, actions, changes, budget) -> None:
    diary = toy.Diary()
    options = {"target_precision": None, "sizes": (1, 4, 10), **changes, "budget": budget}
    env = FedRALBatchEnv(data, diary, **options)
    playable = [action % env.action_space.n for action in actions]
    (start, info), *steps = run(env, playable)
    labels = info["labels"]
    assert labels == info["batch_size"] == toy.n_classes
    for observation, reward, _, _, info in steps:
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward)
        labels += info["batch_size"]
        assert info["batch_size"] >= 1
        assert info["labels"] == labels <= budget
        assert 0 <= info["precision"] <= 1
        assert (np.diff(observation[:32]) >= 0).all()
    assert steps[-1][2] or steps[-1][3]
    bought = diary.bought()
    assert len(bought) == len(set(bought)) == labels
    assert set(bought) <= set(toy.pool.tolist())
    assert set(diary.bought("reward")) == set(toy.reward.tolist())
    assert not {sample for sample, _ in diary.entries} & set(toy.forbidden.tolist())
    assert start.dtype == np.float32


def test_delta_rewards_add_up_to_the_gain(make_env) -> None:
    (_, start), *steps = run(make_env(), [1] * 9)
    assert sum(step[1] for step in steps) == pytest.approx(
        steps[-1][4]["precision"] - start["precision"]
    )


def test_delta_cost_takes_the_price_of_the_executed_batch(make_env) -> None:
    (_, start), step, *_ = run(make_env(reward="delta_cost", cost=0.5), [2])
    gain = step[4]["precision"] - start["precision"]
    assert step[1] == pytest.approx(gain - 0.5 * 10 / 60)


def test_the_classifier_is_new_at_every_reset(make_env) -> None:
    env = make_env()
    fresh = run(env, [0], seed=3)
    run(env, [2] * 4, seed=4)
    assert str(run(env, [0], seed=3)) == str(fresh)


def test_the_classifier_is_fitted_on_bought_labels_only(data, diary, toy) -> None:
    fitted = []

    def fit(rows, labels, n_classes):
        fitted.append((rows, labels))
        return lambda inputs: np.full((len(inputs), n_classes), 1 / n_classes)

    env = FedRALBatchEnv(data, diary, fit=fit, sizes=(4,), budget=20)
    run(env, [0, 0])
    bought = diary.bought()
    assert [len(rows) for rows, _ in fitted] == [3, 7, 11]
    rows, labels = fitted[-1]
    assert (rows == toy.features(bought)).all()
    assert labels.tolist() == [sample % toy.n_classes for sample in bought]


def margins_by_id(inputs):
    """A stand-in classifier whose margin grows with the first feature."""
    top = 0.5 + 0.4 * (inputs[:, 0] - inputs[:, 0].min()) / max(np.ptp(inputs[:, 0]), 1e-9)
    return np.column_stack([top, 1 - top, np.zeros(len(top))])


@pytest.mark.parametrize(
    ("changes", "action", "ranks"),
    [
        ({}, 1, range(4)),
        ({"action": "quantile", "batch_size": 5, "windows": 3}, 0, range(5)),
        ({"action": "quantile", "batch_size": 5, "windows": 3}, 1, range(26, 31)),
        ({"action": "quantile", "batch_size": 5, "windows": 3}, 2, range(52, 57)),
        ({"action": "size_x_quantile", "windows": 2}, 2, range(4)),
        ({"action": "size_x_quantile", "windows": 2}, 5, range(47, 57)),
    ],
)
def test_actions_take_the_ranks_they_stand_for(
    make_env, diary, changes, action, ranks, toy
) -> None:
    env = make_env(fit=lambda *_: margins_by_id, **changes)
    env.reset(seed=0)
    seeds = diary.bought()
    env.step(action)
    bought = diary.bought()[3:]
    rest = np.setdiff1d(toy.pool, seeds)
    by_margin = rest[np.argsort(toy.features(rest)[:, 0], kind="stable")]
    assert bought == by_margin[list(ranks)].tolist()


def test_random_rank_ignores_the_classifier(make_env, diary, toy) -> None:
    def refuse_pool(inputs):
        assert len(inputs) in (20, 30)  # state and reward samples, never the pool
        return np.full((len(inputs), toy.n_classes), 1 / toy.n_classes)

    run(make_env(rank="random", fit=lambda *_: refuse_pool), [1, 1])
    assert len(set(diary.bought())) == 11


def test_the_observation_is_that_of_the_state_samples(make_env, data) -> None:
    env = make_env(fit=lambda *_: margins_by_id, quantiles=8)
    observation, _ = env.reset(seed=0)
    assert observation == pytest.approx(margin_quantiles(margins_by_id(data.state.features), 8))


def test_extras_by_hand(make_env) -> None:
    env = make_env(extras=True, target_precision=1.0, max_steps=10)
    env.reset(seed=0)
    observation, *_, info = env.step(1)
    left = max(1 - info["precision"], 0)
    expected = [1 - 7 / 40, 7 / 60, info["precision"], left, 1 / 10]
    assert observation[32:] == pytest.approx(expected, abs=1e-6)


def test_the_target_ends_an_episode(make_env) -> None:
    *_, last = run(make_env(target_precision=0.6, max_steps=40), [0] * 40)
    assert last[2:4] == (True, False)
    assert last[4]["precision"] >= 0.6
    assert last[4]["labels"] < 40


@pytest.mark.parametrize(
    ("changes", "action", "ends", "last_batch", "labels"),
    [
        ({"budget": 15}, 2, (True, False), 2, 15),  # the last batch is cut
        ({"max_steps": 4}, 0, (False, True), 1, 3 + 4),
    ],
)
def test_budget_and_steps_end_an_episode(
    make_env, changes, action, ends, last_batch, labels
) -> None:
    *_, last = run(make_env(**changes), [action] * 9)
    assert last[2:4] == ends
    assert (last[4]["batch_size"], last[4]["labels"]) == (last_batch, labels)


def test_a_missed_target_costs_the_whole_budget_and_a_reached_one_what_was_bought(make_env) -> None:
    cost = {"reward": "cost", "budget": 40}
    missed = run(make_env(**cost, target_precision=1.0, max_steps=4), [0] * 4)
    assert missed[-1][2:4] == (True, False)
    assert sum(step[1] for step in missed[1:]) == pytest.approx(-(40 - 3) / 60)
    reached = run(make_env(**cost, target_precision=0.6, max_steps=40), [0] * 40)
    bought = reached[-1][4]["labels"] - 3
    assert bought < 37
    assert sum(step[1] for step in reached[1:]) == pytest.approx(-bought / 60)
    *_, aimless = run(make_env(**cost, max_steps=4), [0] * 4)
    assert aimless[1:4] == (pytest.approx(-1 / 60), False, True)


@pytest.mark.parametrize("reward", ["delta", "delta_cost", "cost", "authors"])
def test_returns_from_any_state_are_in_the_stated_range(make_env, reward) -> None:
    rng = np.random.default_rng(0)
    for seed in range(4):
        env = make_env(reward=reward, target_precision=0.8)
        low, high = env.return_range
        rewards = [step[1] for step in run(env, rng.integers(3, size=20), seed)[1:]]
        returns = np.cumsum(rewards[::-1])
        assert low <= returns.min() <= returns.max() <= high


@pytest.mark.parametrize("source", ["state", "pool"])
def test_an_empty_pool_ends_an_episode(make_env, source) -> None:
    *_, last = run(make_env(budget=60, state_source=source), [2] * 20)
    assert last[2:4] == (True, False)
    assert last[4]["labels"] == 60
    assert (last[0] == 1).all() == (source == "pool")


def test_two_declines_in_a_row_cut_a_warm_start_episode(make_env) -> None:
    options = EpisodeOptions(sizes=(1, 4, 10), budget=60, max_steps=60).warm_start()
    env = make_env(options=options, sizes=(1,), budget=60)
    for seed in range(20):
        rewards = [step[1] for step in run(env, [0] * 60, seed)[1:]]
        falls = [
            bool(a > b > c) for a, b, c in zip(rewards, rewards[1:], rewards[2:], strict=False)
        ]
        assert not any(falls[:-1])
        if len(rewards) < 57:
            assert falls[-1]
            return
    pytest.fail("no episode was cut by declining rewards")


def test_warm_start_labels_have_their_own_purpose(make_env, diary) -> None:
    env = make_env(options=EpisodeOptions().warm_start())
    run(env, [1])
    assert len(set(diary.bought("warm-start"))) == 7
    assert not diary.bought()


def test_steps_need_a_running_episode(make_env) -> None:
    env = make_env(max_steps=1)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    run(env, [0])
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": 61},
        {"budget": 3},
        {"seed_labels": 60, "budget": None},
        {"sizes": (4, 1)},
        {"sizes": ()},
        {"sizes": (0, 1)},
        {"quantiles": 1},
        {"reward": "gold"},
        {"colour": "red"},
        {"target_precision": 0.0},
        {"cost": float("nan")},
        {"max_steps": 0},
    ],
)
def test_bad_options_are_refused(make_env, changes) -> None:
    with pytest.raises(InvalidSpecError):
        make_env(**changes)


def test_data_and_labels_come_together(data, diary) -> None:
    with pytest.raises(InvalidSpecError, match="both"):
        FedRALBatchEnv(data)
    with pytest.raises(InvalidSpecError, match="both"):
        FedRALBatchEnv(labels=diary)
