"""What a check is, and how it says that something does not hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from fal_bench.conformance.report import CheckInfo

Checked = TypeVar("Checked", contravariant=True)

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
