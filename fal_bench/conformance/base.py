"""What a check is, how it says that something does not hold, and what it is done on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from fal_bench.conformance.advice import advice_on, described, line_of, with_line
from fal_bench.conformance.deadline import HangError, Pulse, within
from fal_bench.conformance.report import CheckInfo
from fal_bench.conformance.side_effects import changed, random_streams, seed_streams, settings
from fal_bench.errors import InvalidSpecError
from fal_bench.isolation.interrupts import let_interrupts_pass

Checked = TypeVar("Checked", contravariant=True)
Made = TypeVar("Made")
Result = TypeVar("Result")

_ADVICE: Final = "What to do: "


@dataclass(frozen=True)
class Check(Generic[Checked]):
    """One thing that every plugin of a kind must satisfy.

    Attributes:
        info: name, what it proves, advice.
        run: checks one subject; returns a note for the report, or None.

    Raises:
        Failure: (by ``run``) it does not hold.
        NotApplicable: (by ``run``) it does not apply to this subject.
        Broken: (by ``run``) the failure of another check stands in the way.
    """

    info: CheckInfo
    run: Callable[[Checked], str | None]

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.info.name


def collector(
    checks: list[Check[Checked]],
) -> Callable[[Callable[[Checked], str | None]], Check[Checked]]:
    """Return a decorator that makes a check of a function and adds it to a list.

    The check is named after the function. The first paragraph of the docstring is what it proves,
    and the last one, "What to do: ...", the advice on a failure.

    Args:
        checks: the checks of one kind of plugin, in the order in which they are reported.
    """

    def check(function: Callable[[Checked], str | None]) -> Check[Checked]:
        documented = inspect.getdoc(function) or ""
        paragraphs = [" ".join(one.split()) for one in documented.split("\n\n")]
        proves, advice = paragraphs[0].rstrip("."), paragraphs[-1].removeprefix(_ADVICE)
        name = function.__name__.replace("_", "-")
        info = CheckInfo(name, f"{proves[:1].lower()}{proves[1:]}", advice)
        checks.append(Check(info, function))
        return checks[-1]

    return check


@dataclass(frozen=True)
class Where:
    """The input on which a check failed; what is not known stays None.

    Attributes:
        world: name of the small federation.
        seed: its seed.
        client: the client.
        cycle: the cycle.
        budget: labels the client could buy.
        pool: size of ``client.unlabelled``.
    """

    world: str
    seed: int
    client: int | None = None
    cycle: int | None = None
    budget: int | None = None
    pool: int | None = None

    def __str__(self) -> str:
        names = ("client", "cycle", "budget", "pool", "seed")
        values = {name: getattr(self, name) for name in names}
        known = [f"{name} {value}" for name, value in values.items() if value is not None]
        return ", ".join([f"world {self.world}", *known])


class Failure(Exception):  # noqa: N818
    """A check does not hold.

    Args:
        what: what went wrong, in a sentence.
        where: on which input.
        advice: what to do about it; None if the advice of the check that fails is right.
    """

    def __init__(
        self, what: str, where: Where | str | None = None, advice: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.advice = advice


class Raised(Failure):
    """A plugin raised where it should have answered."""


class NotApplicable(Exception):  # noqa: N818
    """A check cannot be done on this subject; the message says why."""


class Broken(Exception):  # noqa: N818
    """Nothing can be run, because of something that another check is about.

    Args:
        owner: name of that check.
        failure: what is wrong.
    """

    def __init__(self, owner: str, failure: Failure) -> None:
        super().__init__(f"{owner}: {failure.what}")
        self.owner = owner
        self.failure = failure


class once(Generic[Result]):  # noqa: N801
    """A property of a subject that is computed once; so is what it raises.

    Args:
        function: the method that computes it.
    """

    def __init__(self, function: Callable[[Any], Result]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, subject: Subject[Any], _: type) -> Result:
        return subject.keep(self, lambda: self._function(subject))


class Subject(Generic[Made]):
    """One plugin under check.

    Args:
        plugin: what is checked.
        limit: seconds that one call may take.

    Attributes:
        noun: what a plugin of this kind is called.
        plugin: what is checked.
        code: the class or function that its author wrote.
        name: its name.
        limit: seconds that one call may take.
        random: global random streams that its calls have touched so far.
        settings: settings of the process that its calls have changed so far.
    """

    noun: ClassVar[str]
    code: Any
    name: str

    def __init__(self, plugin: Any, limit: float) -> None:
        self.plugin = plugin
        self.limit = limit
        self.random: set[str] = set()
        self.settings: set[str] = set()
        self._kept: dict[object, Any] = {}

    @classmethod
    def accepts(cls, plugin: object) -> bool:
        """Whether something is a plugin of this kind."""
        raise NotImplementedError

    def make(self) -> Made:
        """Return a new object of the plugin with the parameters under check."""
        raise NotImplementedError

    @once
    def made(self) -> Made:
        """One of them, to look at.

        Raises:
            Broken: it cannot be made.
        """
        try:
            return within(self.limit, Pulse(), self.make)
        except BaseException as error:
            let_interrupts_pass(error)
            what = f"The {self.noun} cannot be made: {described(error, self.code)}"
            raise Broken("params", Failure(what, advice=advice_on(error, self.code))) from None

    def call(self, function: Callable[[], Result], what: str, where: str = "") -> Result:
        """Run code of the plugin, and note what it does to its surroundings.

        The global random streams are put at one place first, so that two calls can be compared.

        Args:
            function: calls the plugin.
            what: what is called, to begin a sentence with.
            where: on which input.

        Raises:
            Failure: it raised or hung.
        """

        def run() -> Result:
            seed_streams(0)
            streams, rules = random_streams(), settings()
            try:
                return function()
            finally:
                self.random.update(changed(streams, random_streams()))
                self.settings.update(changed(rules, settings()))

        try:
            return within(self.limit, Pulse(), run)
        except Failure:
            raise
        except HangError as error:
            raise self.hung(error, what, where) from None
        except BaseException as error:
            let_interrupts_pass(error)
            what = f"{what} raised {type(error).__name__}: {with_line(error, self.code)}"
            raise Raised(what, where, advice_on(error, self.code)) from error

    def hung(self, error: HangError, what: str, where: Where | str) -> Failure:
        """Return the failure of a call that did not come back."""
        line = line_of(error.stack, self.code)
        at = f"; it was at {line}" if line else ""
        what = f"{what} was not over within {self.limit:g} s{at}."
        return Failure(what, where, advice_on(error, self.code))

    def keep(self, key: object, function: Callable[[], Result]) -> Result:
        """Return what a function returns, or raise what it raises; it is called once for a key."""
        if key not in self._kept:
            try:
                self._kept[key] = function()
            except (Failure, NotApplicable, Broken) as reason:
                self._kept[key] = reason
        kept: Result = self._kept[key]
        if isinstance(kept, Exception):
            raise kept
        return kept

    def verdict(self, check: Check[Any]) -> str | None:
        """Run a check, once, and return its note.

        Raises:
            Failure: it does not hold.
            NotApplicable: it does not apply to this plugin.
            Broken: the failure of another check stands in the way.
        """
        return self.keep(check.name, lambda: check.run(self))

    def require(self, *checks: Check[Any]) -> None:
        """Have checks that another one builds on done first.

        Raises:
            Broken: one of them does not hold.
        """
        for check in checks:
            try:
                self.verdict(check)
            except Failure as failure:
                raise Broken(check.name, failure) from None


class ClassSubject(Subject[Made]):
    """A plugin that is a class, such as a strategy.

    Args:
        plugin: the class, which is checked with its default parameters, or an object, which is
            checked with its own.
        limit: seconds that one call may take.

    Attributes:
        base: the class that plugins of this kind are derived from.

    Raises:
        InvalidSpecError: it is no plugin of this kind.
    """

    base: ClassVar[type]

    def __init__(self, plugin: Any, limit: float) -> None:
        super().__init__(plugin, limit)
        self.code = plugin if isinstance(plugin, type) else type(plugin)
        if not self.accepts(plugin):
            raise InvalidSpecError(
                f"{self.code.__name__} is not a {self.noun}; derive it from "
                f"fal_bench.{self.base.__name__}."
            )
        self.name = str(getattr(self.code, "name", self.code.__name__))
        given = set() if isinstance(plugin, type) else plugin.params.model_fields_set
        self._given = {name: getattr(plugin.params, name) for name in given}

    @classmethod
    def accepts(cls, plugin: object) -> bool:
        """Whether something is a class of this kind, or an object of one."""
        return issubclass(plugin if isinstance(plugin, type) else type(plugin), cls.base)

    def make(self) -> Made:
        """Return a new object with the parameters under check."""
        made: Made = self.code(dict(self._given))
        return made
