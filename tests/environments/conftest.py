"""Fixtures of the environments' tests."""

from collections.abc import Callable
from typing import Any

import pytest
from toy_episodes import N_CLASSES, POOL, REWARD, STATE, Diary, features

from fal_bench.environments import EpisodeData, FedRALBatchEnv, Samples


@pytest.fixture
def data() -> EpisodeData:
    return EpisodeData(
        pool=Samples(POOL, features(POOL)),
        state=Samples(STATE, features(STATE)),
        reward=Samples(REWARD, features(REWARD)),
        n_classes=N_CLASSES,
    )


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def make_env(data: EpisodeData, diary: Diary) -> Callable[..., FedRALBatchEnv]:
    def make(**changes: Any) -> FedRALBatchEnv:
        defaults = {"target_precision": None, "sizes": (1, 4, 10), "budget": 40}
        return FedRALBatchEnv(data, diary, **{**defaults, **changes})

    return make
