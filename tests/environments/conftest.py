"""Small, easy episodes to test with, and a label reader that notes what it read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fal_bench.environments import EpisodeData, FedRALBatchEnv, Samples
from fal_bench.errors import LabelAccessError

N_CLASSES = 3
STATE, POOL, REWARD = np.arange(100, 120), np.arange(0, 60), np.arange(200, 230)
FORBIDDEN = np.concatenate([STATE, np.arange(300, 320)])


def true_labels(ids: Any) -> Any:
    return np.asarray(ids) % N_CLASSES


def features(ids: Any, width: int = 5) -> Any:
    """Three noisy clusters: the class decides the mean, the id the noise."""
    rows = [np.random.default_rng(int(i)).normal(size=width) for i in ids]
    centres = 2.0 * np.eye(width)[true_labels(ids)]
    return (np.array(rows) + centres).astype(np.float32)


@dataclass
class Diary:
    """A label reader that notes every (id, purpose) and refuses what must not be read."""

    entries: list[tuple[int, str]] = field(default_factory=list)

    def __call__(self, ids: Any, purpose: str, /) -> Any:
        if np.isin(ids, FORBIDDEN).any():
            raise LabelAccessError("a forbidden label was asked for")
        self.entries += [(int(i), purpose) for i in ids]
        return true_labels(ids)

    def bought(self, purpose: str = "agent-training") -> list[int]:
        return [sample for sample, why in self.entries if why == purpose]


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """The samples and labels behind ``data``, and the class of ``diary``."""
    return SimpleNamespace(
        n_classes=N_CLASSES,
        pool=POOL,
        reward=REWARD,
        forbidden=FORBIDDEN,
        features=features,
        true_labels=true_labels,
        Diary=Diary,
    )


@pytest.fixture(scope="session")
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
