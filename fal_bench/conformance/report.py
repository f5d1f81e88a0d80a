"""What came out of the checks of one plugin, as text and for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

Status = Literal["ok", "FAILED", "not applicable", "not checked"]


@dataclass(frozen=True)
class CheckInfo:
    """A check without its function, so that processes can pass it on.

    Attributes:
        name: its name.
        proves: what it proves.
        advice: what to do about a failure.
    """

    name: str
    proves: str
    advice: str

    def failed(
        self, seconds: float, what: str, where: str = "", advice: str | None = None
    ) -> Outcome:
        """Return the outcome of a failure; without ``advice`` it has the check's."""
        advice = self.advice if advice is None else advice
        return Outcome(self.name, self.proves, "FAILED", seconds, what, where, advice)

    def not_checked(self, why: str, seconds: float = 0.0) -> Outcome:
        """Return the outcome of a check that another one's failure prevents."""
        return Outcome(self.name, self.proves, "not checked", seconds, why)


STYLES: dict[Status, str] = {
    "ok": "green",
    "FAILED": "bold red",
    "not applicable": "dim",
    "not checked": "yellow",
}


@dataclass(frozen=True)
class Outcome:
    """What came out of one check.

    Attributes:
        check: its name.
        proves: what it proves.
        status: ``"not checked"`` means that another check's failure stands in the way.
        seconds: how long it took.
        note: what was found; why it failed or could not be done.
        where: the input on which it failed.
        advice: what to do about the failure.
    """

    check: str
    proves: str
    status: Status
    seconds: float
    note: str = ""
    where: str = ""
    advice: str = ""

    @property
    def line(self) -> str:
        """The outcome in one line."""
        if self.status == "FAILED":
            said = self.proves
        elif self.status == "ok":
            said = f"{self.proves} ({self.note})" if self.note else self.proves
        else:  # why not; the first words are enough beside the failure itself
            said = self.note.partition(": ")[0]
        return f"{self.status:<14} {self.check:<13} {self.seconds:6.2f} s  {said}"

    @property
    def details(self) -> str:
        """What failed, on which input, and what to do."""
        parts = [f"{self.check}: {self.proves}", f"  what failed  {self.note}"]
        if self.where:
            parts.append(f"  input        {self.where}")
        return "\n".join([*parts, f"  what to do   {self.advice}"])


@dataclass(frozen=True)
class Report:
    """What came out of all checks of one plugin.

    Attributes:
        plugin: its name.
        outcomes: in the order of the checks.
    """

    plugin: str
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(one.check for one in self.outcomes if one.status == "FAILED")

    @property
    def passed(self) -> bool:
        """Whether everything that applies was checked and holds."""
        return all(one.status in ("ok", "not applicable") for one in self.outcomes)

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        counts = dict.fromkeys(STYLES, 0)
        for one in self.outcomes:
            counts[one.status] += 1
        parts = [f"{count} {status}" for status, count in counts.items() if count]
        seconds = sum(one.seconds for one in self.outcomes)
        verdict = "passes" if self.passed else "does not pass"
        return f"{self.plugin} {verdict}: {', '.join(parts)} in {seconds:.1f} s."

    @property
    def details(self) -> str:
        """What failed, or stands in the way of the checks that were asked for."""
        failures = [one.details for one in self.outcomes if one.status == "FAILED"]
        if failures or self.passed:
            return "\n\n".join(failures)
        # Only some checks were asked for, and what stands in their way is not among them.
        return "\n".join({one.note: None for one in self.outcomes if one.status == "not checked"})

    @property
    def text(self) -> str:
        """The whole report as plain text."""
        lines = [one.line for one in self.outcomes]
        return "\n".join([*lines, "", *([self.details, ""] if self.details else []), self.summary])


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print one line of what was checked; the rest is counted at the end."""
    from rich.text import Text

    if outcome.status in ("not applicable", "not checked"):
        return

    line = Text(outcome.line)
    line.stylize(STYLES[outcome.status], 0, len(outcome.status))
    console.print(line)


def show_end(console: Console, report: Report) -> None:
    """Print the failures in full, and the result."""
    from rich.text import Text

    if report.details:
        console.print()
        console.print(Text(report.details))
    console.print()
    console.print(Text(report.summary, style="bold green" if report.passed else "bold red"))
