"""A strategy under check: where it is run, and what it does in an ordinary run."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from fal_bench.conformance.advice import NOT_IDS, advice_on, causes, described, with_line
from fal_bench.conformance.base import Broken, Failure, Where
from fal_bench.conformance.deadline import HangError
from fal_bench.conformance.subject import ClassSubject, once, within_limit
from fal_bench.conformance.trial import Trial, run_trial
from fal_bench.conformance.watch import Watch
from fal_bench.conformance.worlds import WORLDS, World
from fal_bench.errors import (
    CoordinationError,
    InvalidSpecError,
    LabelAccessError,
    MemoryContentError,
    NeedsError,
    PositionError,
    UndeclaredNeedError,
)
from fal_bench.federation.setting import Setting
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.registry import STRATEGY
from fal_bench.plugins.strategy import Strategy

_OWNERS: Final[dict[type[Exception], str]] = {
    NeedsError: "needs",
    UndeclaredNeedError: "needs",
    CoordinationError: "coordination",
    LabelAccessError: "hidden-labels",
    MemoryContentError: "memory",
}


class StrategySubject(ClassSubject[Strategy]):
    """One strategy under check."""

    kind = STRATEGY
    base = Strategy

    @once
    def world(self) -> World:
        """The first world that the strategy accepts.

        Raises:
            Broken: it accepts none.
        """
        refusals, made = [], self.made
        for world in WORLDS:
            try:
                within_limit(self.limit, partial(_offer, made, world))
            except InvalidSpecError as error:
                refusals.append(f"{world.name}: {error}")
            except BaseException as error:
                let_interrupts_pass(error)
                what = f"check_task or check_shares raised {described(error, self.code)}"
                advice = advice_on(error, self.code)
                raise Broken("task", Failure(what, Where(world.name, 0), advice)) from None
            else:
                return world
        raise Broken("task", Failure("It accepts none of the tasks: " + " ".join(refusals)))

    def setting(self, seed: int = 0) -> Setting:
        """Draw a new setting of the world."""
        return self.world.setting(seed)

    def run(self, setting: Setting, **options: Any) -> Trial:
        """Run a trial; see ``run_trial``.

        Raises:
            Failure: the strategy hangs.
        """
        watch: Watch = options.setdefault("watch", Watch())
        try:
            return run_trial(self.make, setting, limit=self.limit, **options)
        except HangError as error:
            cycle = max(watch.budgets, default=None)
            where = Where(setting.task.name, setting.streams.seed, cycle=cycle)
            raise self.hung(error, "A call", where) from error

    @once
    def ordinary(self) -> Trial:
        """A whole run on the world as it is; others are compared with it.

        Raises:
            Broken: it did not come to its end.
        """
        try:
            trial = self.run(self.setting())
        except Failure as failure:
            raise Broken("returns", failure) from None
        error = trial.error
        if error is not None:
            what, advice = with_line(error, self.code), advice_on(error, self.code)
            raise Broken(_owner_of(error), Failure(what, trial.place, advice))
        return trial

    @once
    def again(self) -> Trial:
        """The same run once more, when all that is imported on the way has been imported.

        Raises:
            Broken: it did not come to its end.
        """
        _ = self.ordinary
        try:
            trial = self.run(self.setting())
        except Failure as failure:
            raise Broken("repeatable", failure) from None
        if trial.error is not None:
            what = f"Run a second time, it failed: {with_line(trial.error, self.code)}"
            raise Broken("repeatable", Failure(what, trial.place))
        return trial

    def survives(self, setting: Setting, situation: str, **options: Any) -> None:
        """Run one query in an unusual situation.

        Raises:
            Failure: the strategy raised, broke its contract, or computed with invalid values.
            Broken: it does so in ordinary situations too.
        """
        _ = self.ordinary
        trial = self.run(setting, **{"queries": 1, **options})
        if trial.error is not None:
            what = f"{situation}: {with_line(trial.error, self.code)}"
            # What an exception means here, the check says best.
            advice = NOT_IDS if isinstance(trial.error, PositionError) else None
            raise Failure(what, trial.place, advice)
        if not trial.journal.states:
            raise RuntimeError(f"{situation}: the harness asked for no selection")
        if trial.numeric:
            raise Failure(f"{situation}: {trial.numeric[0]}", trial.place)


def _offer(strategy: Strategy, world: World) -> None:
    strategy.check_task(world.task)
    strategy.check_shares(world.task, world.setting().smallest_shares)


def _owner_of(error: BaseException) -> str:
    """Return the name of the check that an error of the harness or of a plugin belongs to."""
    for cause in causes(error):
        for kind, check in _OWNERS.items():
            if isinstance(cause, kind):
                return check
    return "positions"
