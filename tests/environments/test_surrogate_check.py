from fal_bench.datasets.digits import load_digits
from fal_bench.environments.surrogate_check import measure


def test_the_softmax_surrogate_ranks_gains_like_the_real_model() -> None:
    found = measure(load_digits(), samples=1200, episodes=1, seed=1)
    assert found.transitions >= 10
    assert found.softmax > 0.2
    assert found.ceiling > 0.2


def test_a_seed_gives_the_same_measures() -> None:
    first, second = (measure(load_digits(), samples=400, episodes=1, seed=1) for _ in range(2))
    assert first == second
