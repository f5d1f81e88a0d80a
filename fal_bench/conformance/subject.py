"""Checks, and what they are done on: plugins that are called with a time limit and watched."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from pydantic import ValidationError

from fal_bench.conformance.advice import advice_on, described, line_of, with_line
from fal_bench.conformance.deadline import HangError, Pulse, within
from fal_bench.conformance.report import CheckInfo
from fal_bench.conformance.side_effects import GLOBAL_SEED, Before, restored, seed_streams
from fal_bench.errors import FalbenchError, InvalidSpecError, PluginError
from fal_bench.inputs.params import Params
from fal_bench.inputs.selector import can_be_typed
from fal_bench.isolation.calls import NO_CALLS, Call
from fal_bench.isolation.interrupts import let_interrupts_pass
from fal_bench.plugins.built_in import Kind, code_of, kind_of, name_of
from fal_bench.plugins.functions import checked, parameters_of

Made = TypeVar("Made")
Result = TypeVar("Result")

_ADVICE: Final = "What to do: "


@dataclass(frozen=True)
class Check:
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
    run: Callable[[Any], str | None]

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.info.name


class Failure(Exception):  # noqa: N818
    """A check does not hold.

    Args:
        what: what went wrong, in a sentence.
        where: on which input.
        advice: what to do about it; None if the advice of the check that fails is right.
    """

    def __init__(self, what: str, where: str = "", advice: str | None = None) -> None:
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


@contextmanager
def owned_by(check: str) -> Iterator[None]:
    """Count a failure as that of a check, whichever check meets it first.

    Raises:
        Broken: in place of a failure.
    """
    try:
        yield
    except Failure as failure:
        raise Broken(check, failure) from None


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


class Subject(Generic[Made]):
    """One plugin under check.

    Args:
        plugin: what is checked.
        limit: seconds that one call may take.

    Attributes:
        kind: the kind of plugin.
        checks: the checks of this kind, in the order in which they are reported.
        plugin: what is checked.
        code: the class or function that its author wrote.
        name: its name.
        limit: seconds that one call may take.
    """

    kind: ClassVar[Kind]
    checks: ClassVar[list[Check]]
    code: Any
    name: str

    def __init__(self, plugin: Any, limit: float) -> None:
        self.plugin = plugin
        self.limit = limit
        self._random: set[str] = set()
        self._settings: set[str] = set()
        self._kept: dict[object, Any] = {}

    def __init_subclass__(cls) -> None:
        cls.checks = []

    @classmethod
    def check(cls, function: Callable[[Self], str | None]) -> Check:
        """Make a check of a function, as a decorator, and add it to the checks of this kind.

        It is named after the function. The first paragraph of the docstring is what it proves, and
        the last one, "What to do: ...", the advice on a failure.
        """
        documented = inspect.getdoc(function) or ""
        paragraphs = [" ".join(one.split()) for one in documented.split("\n\n")]
        proves, advice = paragraphs[0].rstrip("."), paragraphs[-1].removeprefix(_ADVICE)
        name = function.__name__.replace("_", "-")
        info = CheckInfo(name, f"{proves[:1].lower()}{proves[1:]}", advice)
        cls.checks.append(Check(info, function))
        return cls.checks[-1]

    @classmethod
    def accepts(cls, plugin: object) -> bool:
        """Whether something is a plugin of this kind."""
        return kind_of(plugin) == cls.kind

    def make(self) -> Made:
        """Return a new object of the plugin with the parameters under check."""
        raise NotImplementedError

    @once
    def made(self) -> Made:
        """One of them, to look at."""
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
            before = Before()
            try:
                with NO_CALLS.open(Call(what, where, ours=True)):
                    return function()
            finally:
                self._random.update(before.drawn())
                self._settings.update(before.changed())

        try:
            return within_limit(self.limit, run)
        except (Failure, Broken):
            raise
        except HangError as error:
            raise self.hung(error, what, where) from None
        except BaseException as error:
            let_interrupts_pass(error)
            said = with_line(error, self.code)
            if not isinstance(error, FalbenchError):  # others say what is wrong themselves
                said = f"{what} raised {type(error).__name__}: {said}"
            raise Raised(said, where, advice_on(error, self.code)) from error

    def call_all(self) -> None:
        """Call all that the plugin defines, to see what else it does."""
        raise NotImplementedError

    @once
    def _called(self) -> None:
        """Whether all has been called that the plugin defines, and what else that does noted."""
        for _ in range(2):  # the first time, what is imported on the way does its part
            self._random, self._settings = set(), set()
            self.call_all()

    def check_random(self) -> None:
        """Check that the plugin leaves the global random streams alone.

        Raises:
            Failure: it does not.
        """
        _ = self._called
        if self._random:
            names = ", ".join(sorted(self._random))
            raise Failure(f"It drew from, or seeded, a global random stream: {names}.")

    def check_settings(self) -> None:
        """Check that the plugin leaves the settings of the process alone.

        Raises:
            Failure: it does not.
        """
        _ = self._called
        if self._settings:
            raise Failure(f"It changed {', '.join(sorted(self._settings))}.")

    def hung(self, error: HangError, what: str, where: str) -> Failure:
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

    def verdict(self, check: Check) -> str | None:
        """Run a check, once, and return its note.

        Raises:
            Failure: it does not hold.
            NotApplicable: it does not apply to this plugin.
            Broken: the failure of another check stands in the way.
        """
        return self.keep(check.name, lambda: check.run(self))

    def require(self, *checks: Check) -> None:
        """Have checks that another one builds on done first.

        Raises:
            Broken: one of them does not hold.
        """
        for check in checks:
            with owned_by(check.name):
                self.verdict(check)


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

    def check_class(self, typed: str) -> None:
        """Check the attributes that all plugins of this sort have.

        Args:
            typed: what its name is typed after.

        Raises:
            Failure: one of them is not what it must be.
        """
        kind = self.code
        name = getattr(kind, "name", None)
        if not isinstance(name, str):
            raise Failure(f"{kind.__name__} has no name.")
        if not can_be_typed(name):
            raise Failure(f"The name {name!r} cannot be typed after {typed}.")
        if not (isinstance(kind.Params, type) and issubclass(kind.Params, Params)):
            raise Failure("Params is not a subclass of fal_bench.Params.")
        if not (kind.version is None or isinstance(kind.version, int)):
            raise Failure(f"version is {kind.version!r}, neither None nor a whole number.")


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
        """The parameters under check; one without a value belongs to the check of that name."""
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
        """The keyword arguments that the function is called with."""
        return {name: getattr(self.params, name) for name in type(self.params).model_fields}

    def remade(self, values: dict[str, Any]) -> Params:
        """Return the parameters of the function for some values."""
        return checked(self.code, values)


def params(subject: ClassSubject[Any] | FunctionSubject[Any]) -> str:
    """Parameters have valid defaults and survive JSON.

    What to do: Give every parameter a default that its own type allows, and a type that JSON
    knows: numbers, text, booleans, lists, tuples or None.
    """
    given = subject.params
    if not isinstance(given, Params):
        raise Failure(f"params is a {type(given).__name__}; call super().__init__(params).")
    values = given.model_dump()
    if not values:
        raise NotApplicable("it has no parameters")
    try:
        text = json.dumps(given.model_dump(mode="json"))
    except (ValueError, TypeError) as error:
        raise Failure(f"The parameters cannot be written as JSON: {error}.") from error
    read = _validated(given, json.loads(text))
    for name, value in values.items():
        if getattr(read, name) != getattr(given, name):
            raise Failure(
                f"Parameter {name!r} is {value!r} and comes back from JSON as "
                f"{getattr(read, name)!r}."
            )
    # The form that a run keeps: what differs from the defaults.
    stored = json.loads(json.dumps(given.model_dump(mode="json", exclude_defaults=True)))
    try:
        again = subject.remade(stored)
    except InvalidSpecError as error:
        what = f"The parameters that differ from their defaults are refused: {error}"
        raise Failure(what) from error
    if again != given:
        raise Failure(f"Made from {stored!r}, it has other parameters than before.")
    return ", ".join(values)


def _validated(params: Params, values: dict[str, Any]) -> Params:
    try:
        return type(params).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise Failure(
            f"The value {first['input']!r} of parameter {name!r} is refused when it is read back "
            f"from JSON: {first['msg'].lower()}."
        ) from error
