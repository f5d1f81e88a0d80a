"""The subject of a check: a strategy, how to make it, and what it does in an ordinary run."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any, TypeVar

from fal_bench.conformance.advice import NOT_IDS, ON_HANG, advice_on, line_of, told
from fal_bench.conformance.base import Broken, Check, Failure, NotApplicable, Where
from fal_bench.conformance.deadline import HangError, Pulse, within
from fal_bench.conformance.trial import Trial, run_trial
from fal_bench.conformance.watch import Watch, owner_of
from fal_bench.conformance.world import WORLDS, World
from fal_bench.errors import InvalidSpecError, PositionError
from fal_bench.federation.setting import Setting
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.strategy import Strategy

Found = TypeVar("Found")

OTHER_SEED = 1


class Subject:
    """One strategy under check.

    Args:
        strategy: a class, which is checked with its default parameters, or an object, which is
            checked with its own.
        limit: seconds that one call may take.

    Raises:
        InvalidSpecError: it is no strategy.
    """

    def __init__(self, strategy: type[Strategy] | Strategy, limit: float) -> None:
        self.kind = strategy if isinstance(strategy, type) else type(strategy)
        if not issubclass(self.kind, Strategy):
            raise InvalidSpecError(
                f"{self.kind.__name__} is not a strategy; derive it from fal_bench.Strategy."
            )
        self.limit = limit
        self._verdicts: dict[str, str | Exception | None] = {}
        self._given: dict[str, Any] = {}
        if isinstance(strategy, Strategy):
            self._given = {
                name: getattr(strategy.params, name) for name in strategy.params.model_fields_set
            }

    @property
    def name(self) -> str:
        """The strategy's name, or that of its class if it has none."""
        return str(getattr(self.kind, "name", self.kind.__name__))

    def make(self) -> Strategy:
        """Return a new strategy with the parameters under check."""
        return self.kind(dict(self._given))

    @property
    def made(self) -> Strategy:
        """One strategy, to look at.

        Raises:
            Broken: it cannot be made.
        """
        return _usable(self._made)

    @property
    def world(self) -> World:
        """The first world that the strategy accepts.

        Raises:
            Broken: it accepts none.
        """
        return _usable(self._world)

    @cached_property
    def _made(self) -> Strategy | Broken:
        try:
            return within(self.limit, Pulse(), self.make)
        except BaseException as error:
            let_interrupts_pass(error)
            what = f"The strategy cannot be made: {self._told(error)}"
            return Broken("params", Failure(what, advice=self._advice(error)))

    @cached_property
    def _world(self) -> World | Broken:
        refusals, made = [], self.made
        for world in WORLDS:
            try:
                within(self.limit, Pulse(), partial(_offer, made, world))
            except InvalidSpecError as error:
                refusals.append(f"{world.name}: {error}")
            except BaseException as error:
                let_interrupts_pass(error)
                what = f"check_task or check_shares raised {self._told(error)}"
                where = Where(world.name, 0)
                return Broken("task", Failure(what, where, self._advice(error)))
            else:
                return world
        return Broken("task", Failure("It accepts none of the tasks: " + " ".join(refusals)))

    def setting(self, seed: int = 0) -> Setting:
        """Draw the world's setting anew."""
        return self.world.setting(seed)

    def run(self, setting: Setting, **options: Any) -> Trial:
        """Run a trial; see ``run_trial``.

        Raises:
            Failure: the plugin hangs.
        """
        watch: Watch = options.setdefault("watch", Watch())
        try:
            return run_trial(self.make, setting, limit=self.limit, **options)
        except HangError as error:
            cycle = max(watch.budgets, default=None)
            where = Where(setting.task.name, setting.streams.seed, cycle=cycle)
            line = line_of(error.stack, self.kind)
            at = f"; it was at {line}" if line else ""
            what = f"A call was not over within {self.limit:g} s{at}."
            raise Failure(what, where, ON_HANG) from error

    def _told(self, error: BaseException) -> str:
        kind = "" if isinstance(error, InvalidSpecError) else f"{type(error).__name__}: "
        return f"{kind}{told(error, self.kind)}"

    def _advice(self, error: BaseException) -> str | None:
        return ON_HANG if isinstance(error, HangError) else advice_on(error, self.kind)

    @property
    def ordinary(self) -> Trial:
        """A whole run on the world as it is; others are compared with it.

        Raises:
            Broken: it did not come to its end.
        """
        return _usable(self._ordinary)

    @property
    def again(self) -> Trial:
        """The same run once more, when all that is imported on the way has been imported.

        Raises:
            Broken: it did not come to its end.
        """
        return _usable(self._again)

    @cached_property
    def _ordinary(self) -> Trial | Broken:
        try:
            trial = self.run(self.setting())
        except Failure as failure:
            return Broken("returns", failure)
        if trial.error is not None:
            what, advice = told(trial.error, self.kind), self._advice(trial.error)
            return Broken(owner_of(trial.error), Failure(what, trial.place, advice))
        return trial

    @cached_property
    def _again(self) -> Trial | Broken:
        _ = self.ordinary
        try:
            trial = self.run(self.setting())
        except Failure as failure:
            return Broken("repeatable", failure)
        if trial.error is not None:
            what = f"Run a second time, it failed: {told(trial.error, self.kind)}"
            return Broken("repeatable", Failure(what, trial.place))
        return trial

    def verdict(self, check: Check[Subject]) -> str | None:
        """Run a check, once, and return its note.

        Raises:
            Failure: it does not hold.
            NotApplicable: it cannot be said of this strategy.
            Broken: another check's failure stands in the way.
        """
        if check.name not in self._verdicts:
            try:
                self._verdicts[check.name] = check.run(self)
            except (Failure, NotApplicable, Broken) as reason:
                self._verdicts[check.name] = reason
        found = self._verdicts[check.name]
        if isinstance(found, Exception):
            raise found
        return found

    def require(self, check: Check[Subject]) -> None:
        """Have a check that another one builds on done first.

        Raises:
            Broken: it does not hold.
        """
        try:
            self.verdict(check)
        except Failure as failure:
            raise Broken(check.name, failure) from None

    def survives(self, setting: Setting, situation: str, **options: Any) -> Trial:
        """Run one query in an unusual situation, and return the trial.

        Raises:
            Failure: the strategy raised, broke its contract, or computed with invalid values.
            Broken: it does so in ordinary situations too.
        """
        _ = self.ordinary
        trial = self.run(setting, **{"queries": 1, **options})
        if trial.error is not None:
            what = f"{situation}: {told(trial.error, self.kind)}"
            # What an exception means here, the check says best.
            advice = NOT_IDS if isinstance(trial.error, PositionError) else None
            raise Failure(what, trial.place, advice)
        if not trial.journal.states:
            raise RuntimeError(f"{situation}: the harness asked for no selection")
        if trial.numeric:
            raise Failure(f"{situation}: {trial.numeric[0]}", trial.place)
        return trial


def _usable(found: Found | Broken) -> Found:
    if isinstance(found, Broken):
        raise found
    return found


def _offer(strategy: Strategy, world: World) -> None:
    strategy.check_task(world.task)
    strategy.check_shares(world.task, world.setting().smallest_shares)
