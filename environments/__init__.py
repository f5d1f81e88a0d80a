"""Gymnasium environments; installed as fal_bench.environments.

Importing this package registers ``falbench/FedRALBatch-v0``.
"""

import gymnasium

from fal_bench.environments.episode_data import (
    CountingLabels,
    EpisodeData,
    LabelReader,
    Samples,
    hold_out,
)
from fal_bench.environments.fedral_batch import FedRALBatchEnv
from fal_bench.environments.heads import Classifier, Fit, RidgeFit, SoftmaxFit
from fal_bench.environments.options import EpisodeOptions

__all__ = [
    "Classifier",
    "CountingLabels",
    "EpisodeData",
    "EpisodeOptions",
    "FedRALBatchEnv",
    "Fit",
    "LabelReader",
    "RidgeFit",
    "Samples",
    "SoftmaxFit",
    "hold_out",
]

ENVIRONMENT_ID = "falbench/FedRALBatch-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(ENVIRONMENT_ID, "fal_bench.environments.fedral_batch:FedRALBatchEnv")
