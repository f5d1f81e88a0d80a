"""What cannot run in a real federation, and why: said before anything starts."""

from __future__ import annotations

from fal_bench.deploy.computing import strategy_selector
from fal_bench.deploy.config import Federation
from fal_bench.deploy.messages import DeploymentError
from fal_bench.errors import FalbenchError
from fal_bench.federation.declared import check_suits, declared
from fal_bench.plugins.needs import RoundSnapshots
from fal_bench.plugins.registry import current_registry
from fal_bench.task import Given


def check_deployable(federation: Federation) -> None:
    """Check that a federation's strategy and task can run where the data are.

    Raises:
        DeploymentError: they cannot; the sentence says why.
    """
    task = federation.task
    if isinstance(task.partition, Given) and task.partition.target:
        _refuse(federation, "it has a target domain, which the server of a real one does not hold")
    if task.shares.pool < 1:
        _refuse(federation, "its task keeps shares apart; a site has its query pool alone")
    if task.dropouts:
        _refuse(federation, "its task simulates dropouts; sites of a real one drop out themselves")
    name = federation.selector.name
    strategy = current_registry().strategies.make(strategy_selector(federation))
    if strategy.reference:
        _refuse(federation, f"strategy {name!r} is a reference: it needs the labels of all samples")
    if declared(strategy, RoundSnapshots) is not None:
        _refuse(federation, f"strategy {name!r} needs the model as it was after earlier rounds")
    try:
        check_suits(strategy, task)
        pool = task.label_grid[-1]
        strategy.check_shares(task, {"state": 0, "warm_start": 0, "agent": 0, "pool": pool})
    except FalbenchError as error:
        raise DeploymentError(
            f"Federation {federation.name!r} cannot run strategy {name!r}: {error}"
        ) from None


def _refuse(federation: Federation, reason: str) -> None:
    raise DeploymentError(f"Federation {federation.name!r} cannot run: {reason}.")
