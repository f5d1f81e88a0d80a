"""The costly inputs that a strategy declares."""

from __future__ import annotations

from collections.abc import Set

from fal_bench.errors import InvalidSpecError, NeedsError
from fal_bench.plugins.needs import Need, TargetDomain
from fal_bench.plugins.strategy import Strategy
from fal_bench.task import Given, Task


def declared_needs(strategy: Strategy) -> Set[Need]:
    """Return what a strategy declares in ``needs``.

    Raises:
        NeedsError: it is no set.
    """
    needs: object = strategy.needs
    if not isinstance(needs, Set):
        raise NeedsError(
            f"Strategy {strategy.name!r}: needs is a {type(needs).__name__} and must be a set of "
            "what is needed, as in needs = frozenset({LocalModel()})."
        )
    return needs


def check_suits(strategy: Strategy, task: Task) -> None:
    """Check, before anything runs, that a strategy can work on a task.

    Raises:
        InvalidSpecError: it says itself that it cannot, or it needs a target domain and the task
            has none.
        NeedsError: its ``needs`` is no set.
    """
    strategy.check_task(task)
    needs_target = any(isinstance(need, TargetDomain) for need in declared_needs(strategy))
    if needs_target and not (isinstance(task.partition, Given) and task.partition.target):
        raise InvalidSpecError(
            f"Strategy {strategy.name!r} needs a target domain, and task {task.name!r} has none; "
            'take a task with partition = { kind = "given", target = "NAME" }.'
        )
