"""falbench: how many labels does a federated active learning strategy need?

Names are loaded when they are first used, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fal_bench._version import __version__

if TYPE_CHECKING:
    from fal_bench.api import (
        Comparison,
        Inspection,
        Results,
        check,
        clients,
        compare,
        import_curves,
        inspect,
        load,
        merge,
        publish,
        report,
        verify,
    )
    from fal_bench.conformance.runner import check_strategy, check_trainer
    from fal_bench.data.base import Dataset
    from fal_bench.data.clients import GivenClients
    from fal_bench.errors import FalbenchError
    from fal_bench.plugins.aggregation import Aggregation
    from fal_bench.plugins.functions import dataset, model
    from fal_bench.plugins.metric import metric
    from fal_bench.plugins.needs import (
        DistilledModel,
        EpochPredictions,
        LocalModel,
        LocalTraining,
        RoundSnapshots,
        TargetDomain,
    )
    from fal_bench.plugins.strategy import ClientView, FederationView, Params, Strategy, Train
    from fal_bench.plugins.trainer import Trainer
    from fal_bench.task import Task

_HOMES = {
    "Aggregation": "fal_bench.plugins.aggregation",
    "ClientView": "fal_bench.plugins.strategy",
    "Comparison": "fal_bench.api",
    "Dataset": "fal_bench.data.base",
    "DistilledModel": "fal_bench.plugins.needs",
    "EpochPredictions": "fal_bench.plugins.needs",
    "FalbenchError": "fal_bench.errors",
    "FederationView": "fal_bench.plugins.strategy",
    "GivenClients": "fal_bench.data.clients",
    "Inspection": "fal_bench.api",
    "LocalModel": "fal_bench.plugins.needs",
    "LocalTraining": "fal_bench.plugins.needs",
    "Params": "fal_bench.plugins.strategy",
    "Results": "fal_bench.api",
    "RoundSnapshots": "fal_bench.plugins.needs",
    "Strategy": "fal_bench.plugins.strategy",
    "TargetDomain": "fal_bench.plugins.needs",
    "Task": "fal_bench.task",
    "Train": "fal_bench.plugins.strategy",
    "Trainer": "fal_bench.plugins.trainer",
    "check": "fal_bench.api",
    "check_strategy": "fal_bench.conformance.runner",
    "check_trainer": "fal_bench.conformance.runner",
    "clients": "fal_bench.api",
    "compare": "fal_bench.api",
    "dataset": "fal_bench.plugins.functions",
    "import_curves": "fal_bench.api",
    "inspect": "fal_bench.api",
    "load": "fal_bench.api",
    "merge": "fal_bench.api",
    "metric": "fal_bench.plugins.metric",
    "model": "fal_bench.plugins.functions",
    "publish": "fal_bench.api",
    "report": "fal_bench.api",
    "verify": "fal_bench.api",
}

__all__ = [
    "Aggregation",
    "ClientView",
    "Comparison",
    "Dataset",
    "DistilledModel",
    "EpochPredictions",
    "FalbenchError",
    "FederationView",
    "GivenClients",
    "Inspection",
    "LocalModel",
    "LocalTraining",
    "Params",
    "Results",
    "RoundSnapshots",
    "Strategy",
    "TargetDomain",
    "Task",
    "Train",
    "Trainer",
    "__version__",
    "check",
    "check_strategy",
    "check_trainer",
    "clients",
    "compare",
    "dataset",
    "import_curves",
    "inspect",
    "load",
    "merge",
    "metric",
    "model",
    "publish",
    "report",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
