"""The costly inputs that a strategy declares."""

from __future__ import annotations

from collections.abc import Set
from typing import Final, TypeVar, get_args

from fal_bench.errors import InvalidSpecError, NeedsError, PluginError, shown
from fal_bench.plugins.needs import Need, RoundSnapshots, TargetDomain
from fal_bench.plugins.strategy import Strategy
from fal_bench.task import Given, Task

Kind = TypeVar("Kind", bound=Need)

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


def declared(strategy: Strategy, kind: type[Kind]) -> Kind | None:
    """Return the input of a kind that a strategy declares; None if it declares none.

    Raises:
        NeedsError: what it declares is no set of inputs.
        PluginError: it declares several of that kind.
    """
    found = [need for need in declared_needs(strategy) if isinstance(need, kind)]
    if len(found) > 1:
        raise PluginError(
            f"Strategy {strategy.name!r} declares {len(found)} {kind.__name__}s; declare one."
        )
    return found[0] if found else None


def check_suits(strategy: Strategy, task: Task) -> None:
    """Check, before anything runs, that a strategy can work on a task.

    Raises:
        NeedsError: what it declares is no set of inputs.
        InvalidSpecError: it says itself that it cannot, or the task does not have what it needs: a
            target domain, or enough rounds for a snapshot.
    """
    strategy.check_task(task)
    has_target = isinstance(task.partition, Given) and task.partition.target
    if declared(strategy, TargetDomain) and not has_target:
        raise InvalidSpecError(
            f"Strategy {strategy.name!r} needs a target domain, and task {task.name!r} has none; "
            'take a task with partition = { kind = "given", target = "NAME" }.'
        )
    kept = declared(strategy, RoundSnapshots)
    if kept and not any(map(kept.keeps, range(task.rounds))):
        raise InvalidSpecError(
            f"Strategy {strategy.name!r} needs a snapshot every {kept.every} rounds, and task "
            f"{task.name!r} has rounds = {task.rounds}; set it to {kept.every} or more."
        )
