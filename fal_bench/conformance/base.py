"""What a check is, and how it says that something does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fal_bench.conformance.report import Begun

Checked = TypeVar("Checked", contravariant=True)
"""The subject of a check: a strategy's or a trainer's."""


@dataclass(frozen=True)
class Check(Generic[Checked]):
    """One thing that every strategy, or every trainer, must satisfy.

    Attributes:
        name: what it is called on the command line.
        proves: what holds once it has passed, in half a sentence.
        advice: what to do about a failure.
        run: checks one subject; returns a note for the report, or None.

    Raises:
        Failure: (by ``run``) it does not hold.
        NotApplicable: (by ``run``) it cannot be said of this subject.
        Broken: (by ``run``) another check's failure stands in the way.
    """

    name: str
    proves: str
    advice: str
    run: Callable[[Checked], str | None]

    @property
    def begun(self) -> Begun:
        """The check without its function."""
        return Begun(self.name, self.proves, self.advice)


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
        parts = {
            "client": self.client,
            "cycle": self.cycle,
            "budget": self.budget,
            "pool": self.pool,
            "seed": self.seed,
        }
        known = [f"{name} {value}" for name, value in parts.items() if value is not None]
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
    """A check cannot be done for this subject; the message says why."""


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
