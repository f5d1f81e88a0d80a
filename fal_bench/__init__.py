"""falbench: how many labels does a federated active learning strategy need?

Names are loaded when they are first used, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fal_bench._version import __version__

if TYPE_CHECKING:
    from fal_bench.comparison import Comparison, compare
    from fal_bench.conformance.runner import check_strategy, check_trainer
    from fal_bench.data.base import Dataset
    from fal_bench.errors import FalbenchError
    from fal_bench.plugins.functions import dataset, model
    from fal_bench.plugins.metric import metric
    from fal_bench.plugins.needs import DistilledModel, EpochPredictions, LocalModel, LocalTraining
    from fal_bench.plugins.strategy import ClientView, FederationView, Params, Strategy, Train
    from fal_bench.plugins.trainer import Trainer
    from fal_bench.task import Task

_HOMES = {
    "ClientView": "fal_bench.plugins.strategy",
    "Comparison": "fal_bench.comparison",
    "Dataset": "fal_bench.data.base",
    "DistilledModel": "fal_bench.plugins.needs",
    "EpochPredictions": "fal_bench.plugins.needs",
    "FalbenchError": "fal_bench.errors",
    "FederationView": "fal_bench.plugins.strategy",
    "LocalModel": "fal_bench.plugins.needs",
    "LocalTraining": "fal_bench.plugins.needs",
    "Params": "fal_bench.plugins.strategy",
    "Strategy": "fal_bench.plugins.strategy",
    "Task": "fal_bench.task",
    "Train": "fal_bench.plugins.strategy",
    "Trainer": "fal_bench.plugins.trainer",
    "check_strategy": "fal_bench.conformance.runner",
    "check_trainer": "fal_bench.conformance.runner",
    "compare": "fal_bench.comparison",
    "dataset": "fal_bench.plugins.functions",
    "metric": "fal_bench.plugins.metric",
    "model": "fal_bench.plugins.functions",
}

__all__ = [
    "ClientView",
    "Comparison",
    "Dataset",
    "DistilledModel",
    "EpochPredictions",
    "FalbenchError",
    "FederationView",
    "LocalModel",
    "LocalTraining",
    "Params",
    "Strategy",
    "Task",
    "Train",
    "Trainer",
    "__version__",
    "check_strategy",
    "check_trainer",
    "compare",
    "dataset",
    "metric",
    "model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
