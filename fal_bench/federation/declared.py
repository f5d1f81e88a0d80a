"""The costly inputs that a strategy declares."""

from __future__ import annotations

from collections.abc import Set
from typing import Final, get_args

from fal_bench.errors import InvalidSpecError, NeedsError, shown
from fal_bench.plugins.needs import Need, TargetDomain
from fal_bench.plugins.strategy import Strategy
from fal_bench.task import Given, Task

_KNOWN: Final = f"it can hold {', '.join(f'{kind.__name__}()' for kind in get_args(Need))}"


def declared_needs(strategy: Strategy) -> Set[Need]:
    """Return what a strategy declares in ``needs``.

    Raises:
        NeedsError: it is no set, or holds something else than such inputs.
    """
    needs: object = strategy.needs
    if not isinstance(needs, Set):
        raise NeedsError(
            f"Strategy {strategy.name!r}: needs is a {type(needs).__name__} and must be a set of "
            "what is needed, as in needs = frozenset({LocalModel()})."
        )
    for need in needs:
        if not isinstance(need, Need):
            named = isinstance(need, type) and issubclass(need, Need)
            advice = f"write {need.__name__}() for {need.__name__}" if named else _KNOWN
            raise NeedsError(f"Strategy {strategy.name!r}: needs holds {shown(need)}; {advice}.")
    return needs


def check_suits(strategy: Strategy, task: Task) -> None:
    """Check, before anything runs, that a strategy can work on a task.

    Raises:
        NeedsError: what it declares is no set of inputs.
        InvalidSpecError: it says itself that it cannot, or it needs a target domain and the task
            has none.
    """
    strategy.check_task(task)
    needs_target = any(isinstance(one, TargetDomain) for one in declared_needs(strategy))
    if needs_target and not (isinstance(task.partition, Given) and task.partition.target):
        raise InvalidSpecError(
            f"Strategy {strategy.name!r} needs a target domain, and task {task.name!r} has none; "
            'take a task with partition = { kind = "given", target = "NAME" }.'
        )
