"""What checks are done on: a plugin that is made, called under a time limit, and watched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from fal_bench.conformance.advice import advice_on, described, line_of, with_line
from fal_bench.conformance.base import Broken, Check, Failure, NotApplicable, Raised, Where
from fal_bench.conformance.deadline import HangError, Pulse, within
from fal_bench.conformance.side_effects import (
    GLOBAL_SEED,
    changed,
    random_streams,
    restored,
    seed_streams,
    settings,
)
from fal_bench.errors import FalbenchError, InvalidSpecError, PluginError
from fal_bench.inputs.params import Params
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.functions import checked, parameters_of
from fal_bench.plugins.registry import Kind, code_of, kind_of, name_of

Made = TypeVar("Made")
Result = TypeVar("Result")


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


def within_limit(limit: float, function: Callable[[], Result]) -> Result:
    """Return ``function()``, and put the surroundings back that it has changed.

    Args:
        limit: seconds it may take.
        function: what to run.

    Raises:
        HangError: the limit is over; whatever else ``function`` raises is passed on.
    """
    pulse = Pulse()

    def run() -> Result:
        with restored(unless=lambda: pulse.abandoned):
            return function()

    return within(limit, pulse, run)


@dataclass(frozen=True)
class Touched:
    """What calls of a plugin have done to their surroundings.

    Attributes:
        random: global random streams that they drew from or seeded.
        settings: settings of the process that they changed.
    """

    random: set[str]
    settings: set[str]


class Subject(Generic[Made]):
    """One plugin under check.

    Args:
        plugin: what is checked.
        limit: seconds that one call may take.

    Attributes:
        kind: the kind of plugin.
        plugin: what is checked.
        code: the class or function that its author wrote.
        name: its name.
        limit: seconds that one call may take.
    """

    kind: ClassVar[Kind]
    code: Any
    name: str

    def __init__(self, plugin: Any, limit: float) -> None:
        self.plugin = plugin
        self.limit = limit
        self._touched = Touched(set(), set())
        self._kept: dict[object, Any] = {}

    @classmethod
    def accepts(cls, plugin: object) -> bool:
        """Whether something is a plugin of this kind."""
        return kind_of(plugin) == cls.kind

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
            return within_limit(self.limit, self.make)
        except (Broken, Failure):
            raise
        except BaseException as error:
            let_interrupts_pass(error)
            what = f"The {self.kind.word} cannot be made: {described(error, self.code)}"
            raise Broken("params", Failure(what, advice=advice_on(error, self.code))) from None

    def call(self, function: Callable[[], Result], what: str, where: str = "") -> Result:
        """Run code of the plugin, and note what it does to its surroundings.

        The global random streams are put at one place first, so that two calls can be compared,
        and what has changed is put back.

        Args:
            function: calls the plugin.
            what: what is called, to begin a sentence with.
            where: on which input.

        Raises:
            Failure: it raised or hung.
        """

        def run() -> Result:
            seed_streams(GLOBAL_SEED)
            streams, rules = random_streams(), settings()
            try:
                return function()
            finally:
                self._touched.random.update(changed(streams, random_streams()))
                self._touched.settings.update(changed(rules, settings()))

        try:
            return within_limit(self.limit, run)
        except (Failure, Broken):
            raise
        except HangError as error:
            raise self.hung(error, what, where) from None
        except BaseException as error:
            let_interrupts_pass(error)
            if not isinstance(error, FalbenchError):  # others say what is wrong themselves
                what = f"{what} raised {type(error).__name__}: {with_line(error, self.code)}"
            else:
                what = with_line(error, self.code)
            raise Raised(what, where, advice_on(error, self.code)) from error

    def call_all(self) -> None:
        """Call all that the plugin defines, to see what else it does.

        Raises:
            Broken: one of these calls raised or hung.
        """
        raise NotImplementedError

    @once
    def touched(self) -> Touched:
        """What the plugin's calls do to their surroundings.

        Raises:
            Broken: one of these calls raised or hung.
        """
        for _ in range(2):  # the first time, what is imported on the way does its part
            self._touched = Touched(set(), set())
            self.call_all()
        return self._touched

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
                f"{self.code.__name__} is not a {self.kind.word}; derive it from "
                f"fal_bench.{self.base.__name__}."
            )
        self.name = str(getattr(self.code, "name", self.code.__name__))
        given = set() if isinstance(plugin, type) else plugin.params.model_fields_set
        self._given = {name: getattr(plugin.params, name) for name in given}

    @property
    def params(self) -> Any:
        """The parameters under check, which should be ``Params``."""
        made: Any = self.made
        return made.params

    def remade(self, values: dict[str, Any]) -> Params:
        """Return the parameters of a plugin that is made with some values."""
        params: Params = self.code(values).params
        return params

    @classmethod
    def accepts(cls, plugin: object) -> bool:
        """Whether something is a class of this kind, or an object of one."""
        return issubclass(plugin if isinstance(plugin, type) else type(plugin), cls.base)

    def make(self) -> Made:
        """Return a new object with the parameters under check."""
        made: Made = self.code(dict(self._given))
        return made


class FunctionSubject(Subject[Made]):
    """A plugin that is a function, such as a model.

    Args:
        plugin: the function, which is checked with its default parameters, or a
            ``functools.partial`` of it, which is checked with its own.
        limit: seconds that one call may take.
    """

    def __init__(self, plugin: Any, limit: float) -> None:
        super().__init__(plugin, limit)
        is_partial = isinstance(plugin, functools.partial)
        function = plugin.func if is_partial else plugin
        self._given = dict(plugin.keywords) if is_partial else {}
        self.code, self.name = code_of(function), name_of(function)

    @classmethod
    def accepts(cls, plugin: object) -> bool:
        """Whether something is a function of this kind, with or without parameters."""
        return super().accepts(plugin.func if isinstance(plugin, functools.partial) else plugin)

    @once
    def params(self) -> Params:
        """The parameters under check.

        Raises:
            Broken: one of them is missing, or cannot be checked.
        """
        try:
            return parameters_of(self.code).model_validate(self._given)
        except ValidationError as error:
            name = error.errors()[0]["loc"][0]
            advice = f"Give {name!r} a default, or check {self.name}[{name}=value]."
            what = f"The {self.kind.word} needs a value for {name!r}."
            raise Broken("params", Failure(what, advice=advice)) from None
        except PluginError as error:
            raise Broken("params", Failure(str(error))) from None

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments that the function is called with.

        Raises:
            Broken: there is none for one of its parameters.
        """
        return {name: getattr(self.params, name) for name in type(self.params).model_fields}

    def remade(self, values: dict[str, Any]) -> Params:
        """Return the parameters of the function for some values."""
        return checked(self.code, values)
